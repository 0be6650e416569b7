"""studentRegistration.csv becomes enrollments, each with a row for every lesson."""

from __future__ import annotations

from elearning.importing.oulad_catalog import load_terms
from elearning.importing.oulad_files import REGISTRATIONS
from elearning.importing.oulad_known import know_courses, know_enrollments, refuse_repeated
from elearning.importing.oulad_staging import Staging
from elearning.importing.oulad_students import load_students
from elearning.regions import Region

__all__ = ["add_enrollments"]


def add_enrollments(stage: Staging) -> tuple[int, int]:
    """Add enrollments and their lesson_progress; return how many of each.

    How a course ended stands in studentInfo.csv and when in courses.csv, so both
    are read again.
    """
    know_courses(stage)
    load_terms(stage)
    load_students(stage)
    stage.load(REGISTRATIONS)
    stage.refuse(
        REGISTRATIONS,
        """
        SELECT r.line, 'student ' || id_student || ' of course ' || code_module || '-'
                       || code_presentation || ' is not in studentInfo.csv' AS problem
        FROM oulad_studentregistration AS r
        LEFT JOIN oulad_studentinfo AS s USING (code_module, code_presentation, id_student)
        WHERE s.line IS NULL ORDER BY r.line LIMIT 1
        """,
    )
    refuse_repeated(stage, REGISTRATIONS, "code_module", "code_presentation", "id_student")
    enrollments = stage.run(
        """
        INSERT INTO enrollments (id, user_id, course_id, status, enrollment_date, completion_date)
        SELECT new_id(:region), u.id, course_id, outcome,
               CAST(start + coalesce(date_registration, 0) AS timestamp) AT TIME ZONE 'UTC',
               CASE outcome WHEN 'completed' THEN CAST(finish AS timestamp) AT TIME ZONE 'UTC' END
        FROM oulad_studentregistration
        JOIN oulad_studentinfo USING (code_module, code_presentation, id_student)
        JOIN oulad_terms USING (code_module, code_presentation)
        JOIN oulad_known_courses USING (code_module, code_presentation)
        JOIN users AS u ON u.email = 'oulad-' || id_student || '@students.oulad.example'
        CROSS JOIN LATERAL (
            -- Some withdrawals have no date, and some with a date count as failed.
            SELECT CASE WHEN final_result = 'Withdrawn' OR date_unregistration IS NOT NULL
                             THEN 'dropped'
                        WHEN final_result = 'Fail' THEN 'expired'
                        ELSE 'completed' END AS outcome
        ) AS ended
        ON CONFLICT (user_id, course_id) DO NOTHING
        """,
        region=Region.EUROPE.code,
    ).rowcount
    know_enrollments(stage)
    return enrollments, sum(_add_progress(stage, course) for course in _courses(stage))


def _courses(stage: Staging) -> list[object]:
    query = "SELECT DISTINCT course_id FROM oulad_known_enrollments ORDER BY course_id"
    return [row.course_id for row in stage.run(query)]


def _add_progress(stage: Staging, course_id: object) -> int:
    # One statement a course, for the trigger keeps all new rows of a statement at hand.
    # EXCEPT reads all that is there before the first row is written (NOT EXISTS would
    # search among the new rows), and is no slower for want of statistics.
    return stage.run(
        """
        INSERT INTO lesson_progress (id, enrollment_id, lesson_id)
        SELECT new_id(:region), enrollment_id, lesson_id
        FROM (
            SELECT e.enrollment_id, l.id AS lesson_id
            FROM oulad_known_enrollments AS e
            JOIN course_modules AS m ON m.course_id = e.course_id
            JOIN course_lessons AS l ON l.module_id = m.id AND l.archived_at IS NULL
            WHERE e.course_id = :course_id
            EXCEPT
            SELECT p.enrollment_id, p.lesson_id
            FROM oulad_known_enrollments AS e
            JOIN lesson_progress AS p ON p.enrollment_id = e.enrollment_id
            WHERE e.course_id = :course_id
            ORDER BY enrollment_id, lesson_id
        ) AS missing
        ON CONFLICT (enrollment_id, lesson_id) DO NOTHING
        """,
        region=Region.EUROPE.code,
        course_id=course_id,
    ).rowcount
