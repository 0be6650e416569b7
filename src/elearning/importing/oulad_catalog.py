"""courses.csv becomes courses, vle.csv their modules and lessons."""

from __future__ import annotations

import json

from elearning.importing.oulad_files import COURSES, SITES
from elearning.importing.oulad_known import (
    INSTRUCTOR_EMAIL,
    know_courses,
    know_sites,
    refuse_repeated,
    refuse_unknown_course,
)
from elearning.importing.oulad_staging import Staging
from elearning.models import LessonType
from elearning.regions import Region

__all__ = ["LESSON_TYPES", "add_courses", "add_sites", "load_terms"]

LESSON_TYPES = {
    # What a student answers,
    "quiz": LessonType.QUIZ,
    "externalquiz": LessonType.QUIZ,
    "questionnaire": LessonType.QUIZ,
    # writes or works out,
    "forumng": LessonType.ASSIGNMENT,
    "ouwiki": LessonType.ASSIGNMENT,
    "dataplus": LessonType.ASSIGNMENT,
    "repeatactivity": LessonType.ASSIGNMENT,
    # attends live or recorded.
    "oucollaborate": LessonType.VIDEO,
    "ouelluminate": LessonType.VIDEO,
}
"""Kinds of activity; every other one is read."""

DESCRIPTION = (
    "From the Open University Learning Analytics Dataset, CC BY 4.0 "
    "(Kuzilek, Hlosta and Zdrahal 2017, doi:10.1038/sdata.2017.171)."
)


def load_terms(stage: Staging) -> None:
    """Stage courses.csv and make ``oulad_terms``, when each course starts and finishes.

    The data set tells the month only, 2013B for February and 2013J for October
    2013, and counts days from a start that it keeps to itself: we take the first.
    """
    stage.load(COURSES)
    refuse_repeated(stage, COURSES, "code_module", "code_presentation")
    stage.run(
        """
        CREATE TEMP TABLE oulad_terms ON COMMIT DROP AS
        SELECT line, code_module, code_presentation, start,
               start + module_presentation_length AS finish
        FROM oulad_courses, make_date(
            CAST(left(code_presentation, 4) AS integer),
            CASE right(code_presentation, 1) WHEN 'B' THEN 2 ELSE 10 END,
            1
        ) AS start
        """
    )


def add_courses(stage: Staging) -> int:
    """Add the instructor and the courses; return how many courses were added."""
    load_terms(stage)
    stage.run(
        """
        SELECT create_user_with_profile(
            :region, :email, NULL, 'Open', 'University', 'instructor', p_country => 'GB')
        WHERE NOT EXISTS (SELECT FROM users WHERE email = :email)
        """,
        region=Region.EUROPE.value,
        email=INSTRUCTOR_EMAIL,
    )
    added = stage.run(
        """
        INSERT INTO courses (id, course_code, slug, title, description, instructor_id,
                             price, currency, language, status, published_at)
        SELECT new_id(:region),
               code_module || '-' || code_presentation,
               lower('oulad-' || code_module || '-' || code_presentation),
               'Open University ' || code_module || ', ' || to_char(start, 'FMMonth YYYY'),
               :description, u.id, 0, 'GBP', 'en', 'published',
               CAST(start AS timestamp) AT TIME ZONE 'UTC'
        FROM oulad_terms, users AS u
        WHERE u.email = :email
        ORDER BY line
        ON CONFLICT DO NOTHING
        """,
        region=Region.EUROPE.code,
        description=DESCRIPTION,
        email=INSTRUCTOR_EMAIL,
    ).rowcount
    know_courses(stage)
    stage.refuse(
        COURSES,
        """
        SELECT line, 'the code or slug of ' || code_module || '-' || code_presentation
                     || ' belongs to a course of somebody else' AS problem
        FROM oulad_terms LEFT JOIN oulad_known_courses USING (code_module, code_presentation)
        WHERE course_id IS NULL ORDER BY line LIMIT 1
        """,
    )
    return added


def add_sites(stage: Staging) -> tuple[int, int, int]:
    """Add a module for each kind of activity, a lesson for each site; return how many.

    The third number is that of the lesson_progress rows that running courses got by it.

    Both are in the order of their first line. By kind and not by week, for the
    weeks are empty for nearly all sites.
    """
    stage.load(SITES)
    know_courses(stage)
    know_sites(stage)
    refuse_unknown_course(stage, SITES)
    refuse_repeated(stage, SITES, "code_module", "code_presentation", "id_site")
    modules = stage.run(
        """
        INSERT INTO course_modules (id, course_id, position, title)
        SELECT new_id(:region), course_id,
               (SELECT coalesce(max(position), 0) FROM course_modules AS m
                WHERE m.course_id = kind.course_id)
               + row_number() OVER (PARTITION BY course_id ORDER BY first_line),
               activity_type
        FROM (
            SELECT course_id, activity_type, min(line) AS first_line
            FROM oulad_vle JOIN oulad_known_courses USING (code_module, code_presentation)
            GROUP BY course_id, activity_type
        ) AS kind
        WHERE NOT EXISTS (SELECT FROM course_modules AS m
                          WHERE m.course_id = kind.course_id AND m.title = kind.activity_type)
        """,
        region=Region.EUROPE.code,
    ).rowcount
    added = stage.run(
        """
        WITH added AS (
            INSERT INTO course_lessons (id, module_id, position, title, lesson_type)
            SELECT new_id(:region), module.id,
                   (SELECT coalesce(max(position), 0) FROM course_lessons
                    WHERE module_id = module.id)
                   + row_number() OVER (PARTITION BY module.id ORDER BY line),
                   activity_type || ' ' || id_site,
                   coalesce(CAST(:types AS jsonb) ->> activity_type, 'reading')
            FROM oulad_vle
            JOIN oulad_known_courses AS k USING (code_module, code_presentation)
            LEFT JOIN oulad_known_sites USING (course_id, id_site)
            CROSS JOIN LATERAL (
                SELECT id FROM course_modules AS m
                WHERE m.course_id = k.course_id AND m.title = activity_type
                ORDER BY position LIMIT 1
            ) AS module
            WHERE lesson_id IS NULL
            RETURNING module_id
        )
        SELECT count(*) AS lessons,
               coalesce(sum((SELECT count(*) FROM enrollments WHERE course_id = m.course_id)), 0)
                   AS progress
        FROM added JOIN course_modules AS m ON m.id = module_id
        """,
        region=Region.EUROPE.code,
        types=json.dumps(LESSON_TYPES),
    ).one()
    return modules, added.lessons, int(added.progress)
