"""The Open University Learning Analytics Dataset (OULAD), as data of the platform.

====================  ===========================================================
in the data set       on the platform, all of it in the region europe
====================  ===========================================================
courses.csv           a course for each presentation, of one instructor
vle.csv               a lesson for each site, a module for each kind of activity
studentInfo.csv       a user for each student, the British region in the profile
studentRegistration   an enrollment, with lesson_progress for every lesson:
                      completed (Pass, Distinction), expired (Fail) or dropped
studentVle.csv        ``time_spent`` of lesson_progress, one minute a click
====================  ===========================================================

assessments.csv and studentAssessment.csv are not stored in this version: it has
no table for them. Nor has it a place for the day of a withdrawal, for gender, age,
education and the like, for the weeks of a site, and for the day of a click; where they
stand in a file that is read they are checked. No lesson counts as completed, since
the data set does not tell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy import Engine

from elearning.importing.csvfile import find_file
from elearning.importing.oulad_catalog import add_courses, add_sites
from elearning.importing.oulad_clicks import set_clicks
from elearning.importing.oulad_files import FILES
from elearning.importing.oulad_registrations import add_enrollments
from elearning.importing.oulad_staging import Report, staging
from elearning.importing.oulad_students import add_students

__all__ = ["OuladCounts", "import_oulad"]


@dataclass(frozen=True, slots=True)
class OuladCounts:
    """What one call of `import_oulad` added; the instructor is not counted as a user."""

    courses: int
    modules: int
    lessons: int
    users: int
    enrollments: int
    progress: int
    clicks: int

    def to_dict(self) -> dict[str, int]:
        """Return the counts by name."""
        return asdict(self)


def import_oulad(
    engine: Engine, folder: Path, *, report: Callable[[str], None] | None = None
) -> OuladCounts:
    """Load the files of a folder, `.csv` or `.csv.gz`, each in a transaction of its own.

    Rows that the platform has already are left alone, except that time_spent is set
    to the sum of the clicks. So a second call changes nothing, and a call after a
    failed one goes on where that one stopped.

    Args:
        engine: the primary of europe's home shard, on psycopg 3.
        folder: where the files are.
        report: is told in a line of text how far the import is.

    Raises:
        InvalidText: the folder or one of the files is missing.
        MalformedFile: a file cannot be read.
        MalformedRow: a row is not what it should be; nothing of its file is loaded.
        NodeUnavailable: the server went away.
    """
    say: Report = report or _silent
    for file in FILES:
        find_file(folder, file.stem)
    with staging(engine, folder, say) as stage:
        courses = add_courses(stage)
    say(f"courses: {courses:,} courses added")
    with staging(engine, folder, say) as stage:
        modules, lessons, added = add_sites(stage)
    say(f"vle: {modules:,} modules and {lessons:,} lessons added")
    with staging(engine, folder, say) as stage:
        users = add_students(stage)
    say(f"studentInfo: {users:,} users added")
    with staging(engine, folder, say) as stage:
        enrollments, progress = add_enrollments(stage)
    say(f"studentRegistration: {enrollments:,} enrollments and {progress:,} lessons of them added")
    with staging(engine, folder, say) as stage:
        clicks = set_clicks(stage)
    say(f"studentVle: {clicks:,} clicks added")
    return OuladCounts(courses, modules, lessons, users, enrollments, added + progress, clicks)


def _silent(message: str) -> None:
    """Tell nobody."""
