"""What the shard holds of the data set, as temporary tables, and checks of a file against it."""

from __future__ import annotations

from sqlalchemy import and_, column, func, literal, select, table

from elearning.importing.oulad_files import File
from elearning.importing.oulad_staging import Staging, table_of

__all__ = [
    "INSTRUCTOR_EMAIL",
    "know_courses",
    "know_enrollments",
    "know_sites",
    "refuse_repeated",
    "refuse_unknown_course",
]

INSTRUCTOR_EMAIL = "instructor@oulad.example"
"""Whose courses the import may touch; `.example` is nobody's domain (RFC 2606)."""


def know_courses(stage: Staging) -> None:
    """Make ``oulad_known_courses``: the instructor's courses by module and presentation."""
    stage.run(
        """
        CREATE TEMP TABLE oulad_known_courses ON COMMIT DROP AS
        SELECT c.id AS course_id,
               split_part(c.course_code, '-', 1) AS code_module,
               split_part(c.course_code, '-', 2) AS code_presentation
        FROM courses AS c JOIN users AS u ON u.id = c.instructor_id
        WHERE u.email = :email
        """,
        email=INSTRUCTOR_EMAIL,
    )
    stage.run("ANALYZE oulad_known_courses")


def know_sites(stage: Staging) -> None:
    """Make ``oulad_known_sites``: lessons by course and site; the title tells the site."""
    stage.run(
        """
        CREATE TEMP TABLE oulad_known_sites ON COMMIT DROP AS
        SELECT DISTINCT ON (course_id, id_site) course_id, id_site, lesson_id
        FROM (
            SELECT k.course_id, l.id AS lesson_id,
                   CAST(substring(l.title FROM '^[a-z0-9_]+ ([0-9]{1,10})$') AS bigint) AS id_site
            FROM oulad_known_courses AS k
            JOIN course_modules AS m ON m.course_id = k.course_id
            JOIN course_lessons AS l ON l.module_id = m.id
        ) AS lesson
        WHERE id_site IS NOT NULL
        ORDER BY course_id, id_site, lesson_id
        """
    )
    stage.run("ANALYZE oulad_known_sites")


def know_enrollments(stage: Staging) -> None:
    """Make ``oulad_known_enrollments`` from the staged registrations."""
    stage.run(
        """
        CREATE TEMP TABLE oulad_known_enrollments ON COMMIT DROP AS
        SELECT k.course_id, code_module, code_presentation, r.id_student, e.id AS enrollment_id
        FROM oulad_studentregistration AS r
        JOIN oulad_known_courses AS k USING (code_module, code_presentation)
        JOIN users AS u ON u.email = 'oulad-' || r.id_student || '@students.oulad.example'
        JOIN enrollments AS e ON e.user_id = u.id AND e.course_id = k.course_id
        """
    )
    stage.run("ANALYZE oulad_known_enrollments")


def refuse_unknown_course(stage: Staging, file: File) -> None:
    """Refuse a file that names a course which `know_courses` did not find.

    Raises:
        MalformedRow: the first such row.
    """
    names = ("code_module", "code_presentation")
    rows = table(table_of(file), column("line"), *map(column, names))
    known = table("oulad_known_courses", column("course_id"), *map(column, names))
    same = and_(*(rows.c[name] == known.c[name] for name in names))
    problem = func.concat(
        "course ", rows.c.code_module, "-", rows.c.code_presentation, " is not in courses.csv"
    )
    stage.refuse(
        file,
        select(rows.c.line, problem.label("problem"))
        .select_from(rows.outerjoin(known, same))
        .where(known.c.course_id.is_(None))
        .order_by(rows.c.line)
        .limit(1),
    )


def refuse_repeated(stage: Staging, file: File, *key: str) -> None:
    """Refuse a file in which two rows have the same key.

    Raises:
        MalformedRow: the first row that repeats an earlier one.
    """
    rows = table(table_of(file), column("line"), *map(column, key))
    first = func.min(rows.c.line).over(partition_by=[rows.c[name] for name in key])
    pairs = select(rows.c.line, first.label("first")).subquery()
    problem = func.concat(literal(", ".join(key)), " repeat line ", pairs.c.first)
    stage.refuse(
        file,
        select(pairs.c.line, problem.label("problem"))
        .where(pairs.c.line > pairs.c.first)
        .order_by(pairs.c.line)
        .limit(1),
    )
