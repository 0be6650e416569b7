"""studentInfo.csv becomes users with profiles."""

from __future__ import annotations

from elearning.importing.oulad_files import STUDENTS
from elearning.importing.oulad_known import know_courses, refuse_repeated, refuse_unknown_course
from elearning.importing.oulad_staging import Staging
from elearning.regions import Region

__all__ = ["add_students", "load_students"]


def load_students(stage: Staging) -> None:
    """Stage studentInfo.csv and check it against the courses."""
    stage.load(STUDENTS)
    refuse_unknown_course(stage, STUDENTS)
    refuse_repeated(stage, STUDENTS, "code_module", "code_presentation", "id_student")


def add_students(stage: Staging) -> int:
    """Add one user for each student, however many courses they take; return how many.

    The profile has the region of the latest presentation. The same rows as
    ``create_user_with_profile`` writes, the outbox message included, as a set.
    """
    know_courses(stage)
    load_students(stage)
    return stage.run(
        """
        WITH student AS (
            SELECT DISTINCT ON (id_student)
                   id_student, region,
                   'oulad-' || id_student || '@students.oulad.example' AS email
            FROM oulad_studentinfo
            ORDER BY id_student, code_presentation DESC, line DESC
        ), added AS (
            INSERT INTO users (id, region, email, first_name, last_name, user_type)
            SELECT new_id(:code), :region, email, 'Student', CAST(id_student AS text), 'student'
            FROM student
            ON CONFLICT (email) DO NOTHING
            RETURNING id, email
        ), profile AS (
            -- The university's region Ireland is partly another country.
            INSERT INTO user_profiles (id, user_id, country, subdivision)
            SELECT new_id(:code), added.id,
                   CASE WHEN student.region <> 'Ireland' THEN 'GB' END, student.region
            FROM added JOIN student USING (email)
        )
        INSERT INTO outbox (topic, payload)
        SELECT 'user_registered', jsonb_build_object('user_id', id, 'preferences', '{}'::jsonb)
        FROM added
        """,
        code=Region.EUROPE.code,
        region=Region.EUROPE.value,
    ).rowcount
