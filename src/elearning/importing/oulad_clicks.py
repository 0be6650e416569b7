"""studentVle.csv becomes the time spent in each lesson."""

from __future__ import annotations

from elearning.importing.oulad_files import CLICKS, REGISTRATIONS
from elearning.importing.oulad_known import know_courses, know_enrollments, know_sites
from elearning.importing.oulad_staging import Staging

__all__ = ["SECONDS_PER_CLICK", "set_clicks"]

SECONDS_PER_CLICK = 60
"""The data set counts clicks and no time: a click is taken as one minute, so that
``time_spent / SECONDS_PER_CLICK`` is the number of clicks again."""

MAX_CLICKS = (2**31 - 1) // SECONDS_PER_CLICK
"""Of one student on one site; ``time_spent`` is an INTEGER."""


def set_clicks(stage: Staging) -> int:
    """Set ``time_spent`` to the sum of the clicks; return how many clicks that added.

    Set and not added, so that a second run changes nothing. Progress on sites
    that the file does not mention stays as it is; a lesson that was archived before
    its student was enrolled has none.
    """
    know_courses(stage)
    know_sites(stage)
    stage.load(REGISTRATIONS)
    know_enrollments(stage)
    stage.load(CLICKS)
    stage.run(
        """
        CREATE TEMP TABLE oulad_sums ON COMMIT DROP AS
        SELECT s.*, e.course_id, e.enrollment_id, k.lesson_id
        FROM (
            SELECT code_module, code_presentation, id_student, id_site,
                   min(line) AS line, sum(sum_click) AS clicks
            FROM oulad_studentvle
            GROUP BY code_module, code_presentation, id_student, id_site
        ) AS s
        LEFT JOIN oulad_known_enrollments AS e USING (code_module, code_presentation, id_student)
        LEFT JOIN oulad_known_sites AS k USING (course_id, id_site)
        """
    )
    stage.run("CREATE INDEX ON oulad_sums (course_id)")
    stage.run("ANALYZE oulad_sums")
    stage.refuse(
        CLICKS,
        """
        SELECT line, CASE
            WHEN enrollment_id IS NULL THEN 'student ' || id_student || ' of course '
                || code_module || '-' || code_presentation || ' is not in studentRegistration.csv'
            WHEN lesson_id IS NULL THEN 'site ' || id_site || ' of course '
                || code_module || '-' || code_presentation || ' is not in vle.csv'
            ELSE 'the clicks of student ' || id_student || ' on site ' || id_site
                || ' sum to ' || clicks || ', expected at most ' || :most
            END AS problem
        FROM oulad_sums
        WHERE enrollment_id IS NULL OR lesson_id IS NULL OR clicks > :most
        ORDER BY line LIMIT 1
        """,
        most=MAX_CLICKS,
    )
    # lesson_progress may still count as empty, for autovacuum saw it before its rows came, and
    # only its owner may ANALYZE it. What counts as one row is joined by a nested loop, which
    # then reads the table once for each sum. All other joins read it once.
    stage.run("SET LOCAL enable_nestloop = off")
    query = """
        SELECT course_id, array_agg(DISTINCT enrollment_id) AS enrollments
        FROM oulad_sums GROUP BY course_id ORDER BY course_id
    """
    return sum(_set_course(stage, row.course_id, row.enrollments) for row in stage.run(query).all())


def _set_course(stage: Staging, course_id: object, enrollments: object) -> int:
    # One statement a course: the trigger keeps the rows of a statement, old and new, at hand.
    # Its enrollments are named, so that an index leads to them on a shard with many others.
    added = stage.run(
        """
        WITH changed AS (
            SELECT p.id, p.time_spent AS before, s.clicks * :seconds AS after
            FROM oulad_sums AS s JOIN lesson_progress AS p USING (enrollment_id, lesson_id)
            WHERE s.course_id = :course_id AND p.enrollment_id = ANY (:enrollments)
                AND p.time_spent <> s.clicks * :seconds
        ), updated AS (
            UPDATE lesson_progress AS p SET time_spent = changed.after
            FROM changed WHERE p.id = changed.id AND p.enrollment_id = ANY (:enrollments)
            RETURNING changed.after - changed.before AS seconds
        )
        SELECT coalesce(sum(seconds), 0) FROM updated
        """,
        seconds=SECONDS_PER_CLICK,
        course_id=course_id,
        enrollments=enrollments,
    ).scalar_one()
    return int(added) // SECONDS_PER_CLICK
