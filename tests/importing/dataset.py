"""A data set of two courses that has every oddity of OULAD, and ways to look at what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, Text, cast, literal_column, select, text

from elearning.models import (
    Course,
    CourseLesson,
    CourseModule,
    Enrollment,
    LessonProgress,
    OutboxMessage,
    User,
    UserProfile,
)

FILES = {
    "courses": (
        "code_module,code_presentation,module_presentation_length",
        "AAA,2013J,268",
        "BBB,2014B,241",
    ),
    "vle": (
        "id_site,code_module,code_presentation,activity_type,week_from,week_to",
        "501,AAA,2013J,resource,,",
        "502,AAA,2013J,quiz,1.0,2.0",
        "503,AAA,2013J,resource,?,?",
        "601,BBB,2014B,forumng,,",
        "602,BBB,2014B,oucollaborate,,",
    ),
    "studentInfo": (
        (
            "code_module,code_presentation,id_student,gender,region,highest_education,imd_band,"
            "age_band,num_of_prev_attempts,studied_credits,disability,final_result"
        ),
        "AAA,2013J,11,M,Scotland,HE Qualification,90-100%,55<=,0,240,N,Pass",
        "AAA,2013J,12,F,Ireland,A Level or Equivalent,,35-55,1,60,Y,Withdrawn",
        "AAA,2013J,13,F,Wales,Lower Than A Level,10-20,0-35,0,60,N,Withdrawn",
        "AAA,2013J,14,M,North Region,No Formal quals,?,0-35,0,60,N,Fail",
        "BBB,2014B,11,M,London Region,HE Qualification,90-100%,55<=,0,60,N,Fail",
        "BBB,2014B,15,F,Wales,HE Qualification,20-30%,0-35,0,60,N,Distinction",
    ),
    "studentRegistration": (
        "code_module,code_presentation,id_student,date_registration,date_unregistration",
        "AAA,2013J,11,-159.0,",
        "AAA,2013J,12,-5,12.0",
        "AAA,2013J,13,,",
        "AAA,2013J,14,3,?",
        "BBB,2014B,11,-20,30",
        "BBB,2014B,15,-20,",
    ),
    "studentVle": (
        "code_module,code_presentation,id_student,id_site,date,sum_click",
        "AAA,2013J,11,501,-10,4",
        "AAA,2013J,11,501,-10,1",
        "AAA,2013J,11,502,5,2",
        "AAA,2013J,12,501,20,7",
        "BBB,2014B,11,601,0,3",
        "AAA,2013J,11,501,90.0,1",
    ),
}


ORDER = ("courses", "vle", "studentInfo", "studentRegistration", "studentVle")

TOTALS = {
    "courses": 2,
    "modules": 4,
    "lessons": 5,
    "users": 5,
    "enrollments": 6,
    "progress": 4 * 3 + 2 * 2,
    "clicks": 18,
}
"""What the shard holds after an import of FILES."""

NOTHING = dict.fromkeys(TOTALS, 0)


@dataclass(frozen=True, slots=True)
class Dataset:
    """A folder of files."""

    folder: Path

    def write(self, stem: str, lines: Iterable[str]) -> None:
        """Replace a file by these lines."""
        content = "".join(f"{line}\n" for line in lines)
        (self.folder / f"{stem}.csv").write_text(content, encoding="utf-8")

    def put(self, stem: str, number: int, line: str) -> None:
        """Put a line in place of another; the header is line 1."""
        lines = list(FILES[stem])
        lines[number - 1] = line
        self.write(stem, lines)

    def add(self, stem: str, line: str) -> int:
        """Add a line at the end; return its number."""
        self.write(stem, (*FILES[stem], line))
        return len(FILES[stem]) + 1


def totals(engine: Engine) -> dict[str, int]:
    """Count what is on the shard, clicks as minutes."""
    query = """
        SELECT (SELECT count(*) FROM courses) AS courses,
               (SELECT count(*) FROM course_modules) AS modules,
               (SELECT count(*) FROM course_lessons) AS lessons,
               (SELECT count(*) FROM users WHERE user_type = 'student') AS users,
               (SELECT count(*) FROM enrollments) AS enrollments,
               (SELECT count(*) FROM lesson_progress) AS progress,
               (SELECT coalesce(sum(time_spent), 0) / 60 FROM lesson_progress) AS clicks
    """
    with engine.connect() as connection:
        return dict(connection.execute(text(query)).mappings().one())


def fingerprint(engine: Engine) -> dict[str, list[tuple[str, str]]]:
    """Return id and version of all rows; an UPDATE makes a new version, even of equal values."""
    models = (
        User,
        UserProfile,
        Course,
        CourseModule,
        CourseLesson,
        Enrollment,
        LessonProgress,
        OutboxMessage,
    )
    with engine.connect() as connection:
        return {
            model.__tablename__: sorted(
                (str(row.id), str(row.xmin))
                for row in connection.execute(
                    select(model.id, cast(literal_column("xmin"), Text).label("xmin"))
                )
            )
            for model in models
        }
