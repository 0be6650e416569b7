"""Statistics of the whole world, where there is a lot to count."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection
from rich.table import Table

from benchmarks.courses import connect
from benchmarks.timing import Times, measure, ratios
from elearning.crud import (
    course_funnel,
    course_revenue,
    instructor_revenue,
    instructor_statistics,
    platform_funnel,
    platform_revenue,
    platform_statistics,
)
from elearning.ids import region_of
from elearning.routing import Engines
from elearning.testing.copies import wait_copied

ROUNDS = 40
UNFOLDED = 20_000  # rows that the counters of a busy shard grow by between two recoveries
EACH = 50  # courses of an instructor
TAKEN = 5  # courses of a student


class Volume(NamedTuple):
    """How much all shards hold together."""

    courses: int = 100_000
    users: int = 1_000_000

    @property
    def enrollments(self) -> int:
        """Each student takes as many courses."""
        return self.users * TAKEN


_PEOPLE = """
INSERT INTO users (id, region, email, first_name, last_name, user_type)
SELECT new_id(codes[1 + n % 2]), region_name(codes[1 + n % 2]),
    '{kind}' || n || '@{shard}.figures.example', 'F', 'F', '{kind}'
FROM generate_series(1, {number}) AS n,
    (SELECT array_agg(region_code ORDER BY region_code) AS codes FROM hosted_regions) AS here
"""
# Drafts: to make them found by their words takes longer than all else, and is not read here.
_COURSES = """
INSERT INTO courses (id, course_code, slug, title, instructor_id, currency, price, language)
SELECT new_id(region_code_of(u.id)), 'F' || u.n || '-' || number, 'f' || u.n || '-' || number,
    'Figures', u.id, 'EUR', 4900, 'en'
FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM users WHERE user_type = 'instructor')
    AS u, generate_series(1, {each}) AS number
"""
# As replication would bring them: all that counts is counted, and keys are not looked up.
_ENROLLMENTS = """
SET LOCAL session_replication_role = replica;
CREATE TEMPORARY TABLE numbered ON COMMIT DROP AS
    SELECT id, row_number() OVER (ORDER BY instructor_id, id) - 1 AS n FROM courses;
ANALYZE numbered;
INSERT INTO enrollments (id, user_id, course_id, status, enrollment_date, completion_date,
    total_lessons, completed_lessons)
SELECT new_id(region_code_of(u.id)), u.id, c.id, state.status,
    timestamptz '2024-01-15' + (u.n % 24) * interval '1 month',
    CASE WHEN state.status = 'completed' THEN timestamptz '2300-01-01' END,
    10, CASE WHEN state.status = 'completed' THEN 10 ELSE u.n % 10 END
FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM users WHERE user_type = 'student') AS u
CROSS JOIN generate_series(0, {taken} - 1) AS k
CROSS JOIN LATERAL (
    SELECT (ARRAY['active', 'active', 'active', 'active', 'active', 'active', 'completed',
        'completed', 'dropped', 'expired'])[1 + (u.n + k) % 10] AS status
) AS state
-- Every tenth student takes a course of the most popular instructor.
JOIN numbered AS c ON c.n = CASE WHEN k = 0 AND u.n % 10 = 0 THEN (u.n / 10) % {each}
    ELSE {each} + (u.n * 7919 + k * (({courses} - {each}) / {taken})) % ({courses} - {each}) END;
INSERT INTO course_revenue
    (course_id, region_code, month, currency, payments, paid, refunds, refunded)
SELECT course_id, region_code, month, currency, enrolled, enrolled * 4900, ended, ended * 4900
FROM course_months CROSS JOIN LATERAL (VALUES ('EUR')) AS money (currency);
INSERT INTO platform_counters (name, detail, region_code, month, currency, change)
SELECT 'revenue', part.detail, region_code, month, currency, sum(part.number)
FROM course_revenue CROSS JOIN LATERAL (
    VALUES ('payments', payments), ('paid', paid), ('refunds', refunds), ('refunded', refunded)
) AS part (detail, number) GROUP BY 2, 3, 4, 5;
SELECT fold_platform_counters();
INSERT INTO platform_counters (name, detail, region_code, month, change)
SELECT 'enrollments', (ARRAY['enrolled', 'started'])[1 + n % 2],
    (SELECT min(region_code) FROM hosted_regions), date '2024-01-01', 1
FROM generate_series(1, {unfolded}) AS n;
"""
_MONEY = "sum(payments), sum(paid), sum(refunds), sum(refunded)"
_MONTH = (
    "CASE WHEN month BETWEEN date_trunc('month', now() - interval '11 months') AND now() "
    "THEN month END"
)
_RAW = {
    "platform_statistics": """
        SELECT name, detail, currency, sum(change) FROM platform_counters GROUP BY 1, 2, 3
    """,
    "platform_funnel": """
        SELECT {month}, detail, sum(change) FROM platform_counters
        WHERE name = 'enrollments' GROUP BY 1, 2
    """,
    "platform_revenue": """
        SELECT {month}, currency, detail, sum(change) FROM platform_counters
        WHERE name = 'revenue' GROUP BY 1, 2, 3
    """,
    "course_funnel": """
        SELECT {month}, sum(enrolled), sum(started), sum(completed), sum(ended)
        FROM course_months WHERE course_id = %(course)s GROUP BY 1
    """,
    "course_revenue": """
        SELECT {month}, currency, {money} FROM course_revenue WHERE course_id = %(course)s
        GROUP BY 1, 2
    """,
    "instructor_revenue": """
        SELECT {month}, r.currency, {money} FROM course_revenue AS r
        JOIN courses AS c ON c.id = r.course_id WHERE c.instructor_id = %(instructor)s
        GROUP BY 1, 2
    """,
    "instructor_statistics": """
        SELECT count(DISTINCT e.user_id) FROM enrollments AS e
        JOIN courses AS c ON c.id = e.course_id
        WHERE c.instructor_id = %(instructor)s AND e.status = 'active';
        SELECT r.currency, {money} FROM course_revenue AS r
        JOIN courses AS c ON c.id = r.course_id WHERE c.instructor_id = %(instructor)s GROUP BY 1
    """,
}
_HOME = {
    "course_funnel": "SELECT id FROM courses WHERE id = %(course)s",
    "course_revenue": "SELECT id FROM courses WHERE id = %(course)s",
    "instructor_revenue": "SELECT id FROM users WHERE id = %(instructor)s",
    "instructor_statistics": (
        "SELECT c.status, count(c.id), sum(p.enrollments), sum(p.completions), "
        "sum(c.total_ratings), sum(c.rating_sum) FROM users AS u "
        "LEFT JOIN courses AS c ON c.instructor_id = u.id "
        "LEFT JOIN course_popularity AS p ON p.course_id = c.id "
        "WHERE u.id = %(instructor)s GROUP BY 1"
    ),
}
"""What the shard of the course or instructor is asked first."""

Raw = Connection[tuple[Any, ...]]


class People(NamedTuple):
    """Whose figures are asked for."""

    course: UUID
    usual: UUID
    """An instructor like most."""
    star: UUID
    """An instructor whom every tenth student has."""


def statistics(engines: Engines, volume: Volume | None = None) -> Table:
    """Read each of the statistics, beside the same SQL through the driver alone."""
    people = generate(engines, volume or Volume())
    with ExitStack() as opened:
        nodes = {shard: engines.replicas(shard)[0].engine.url for shard in engines.shards}
        raw = {shard: opened.enter_context(connect(url)) for shard, url in nodes.items()}
        threads = opened.enter_context(ThreadPoolExecutor(len(raw)))
        times = _times(engines, raw, threads, people)
    return ratios(
        "statistics, worldwide: the driver alone, and ours",
        times,
        {name: "<= 1.43, <= 50 ms" for each in times for name in list(each)[1:]},
    )


def _times(
    engines: Engines, raw: Mapping[str, Raw], threads: ThreadPoolExecutor, people: People
) -> list[Times]:
    found: list[Times] = []
    for name, ours in _contenders(engines, people).items():
        operation = name.partition(",")[0]
        instructor = people.star if "star" in name else people.usual
        asked = _RAW[operation].format(month=_MONTH, money=_MONEY)
        home = engines.home(region_of(people.course if "course" in operation else instructor))

        def by_driver(
            operation: str = operation,
            asked: str = asked,
            instructor: UUID = instructor,
            home: str = home,
        ) -> None:
            values = {"course": people.course, "instructor": instructor}

            def ask(shard: str) -> None:
                first = [_HOME[operation]] if shard == home and operation in _HOME else []
                for statement in [*first, *asked.split(";")]:
                    raw[shard].execute(statement, values).fetchall()

            list(threads.map(ask, raw))

        found.append(measure({f"{name}, driver": by_driver, name: ours}, ROUNDS, warm_up=8))
    return found


def _contenders(engines: Engines, people: People) -> Mapping[str, Callable[[], object]]:
    return {
        "platform_statistics": lambda: platform_statistics().everywhere(engines),
        "platform_funnel": lambda: platform_funnel().everywhere(engines),
        "platform_revenue": lambda: platform_revenue().everywhere(engines),
        "course_funnel": lambda: course_funnel(people.course).everywhere(engines),
        "course_revenue": lambda: course_revenue(people.course).everywhere(engines),
        "instructor_revenue": lambda: instructor_revenue(people.usual).everywhere(engines),
        "instructor_statistics": lambda: instructor_statistics(people.usual).everywhere(engines),
        "instructor_statistics, a star": lambda: instructor_statistics(people.star).everywhere(
            engines
        ),
    }


def generate(engines: Engines, volume: Volume) -> People:
    """Fill all shards by SQL, each with its part, and count what there is."""
    shards = engines.settings.shards
    with ExitStack() as opened:
        owners = {shard.name: opened.enter_context(connect(shard.owner_url)) for shard in shards}
        threads = opened.enter_context(ThreadPoolExecutor(len(owners)))
        part = {
            "each": EACH,
            "taken": TAKEN,
            "unfolded": UNFOLDED,
            "courses": volume.courses // (EACH * len(shards)) * EACH * len(shards),
        }
        instructors = volume.courses // (EACH * len(shards))
        students = volume.users // len(shards) - instructors

        def people(shard: str) -> None:
            for kind, number in (("instructor", instructors), ("student", students)):
                owners[shard].execute(_PEOPLE.format(kind=kind, number=number, shard=shard))
            owners[shard].execute(_COURSES.format(**part))

        def studies(shard: str) -> None:
            owner = owners[shard]
            with owner.transaction():
                for statement in _ENROLLMENTS.format(**part).split(";"):
                    if statement.strip():
                        owner.execute(statement)
            owner.execute("ANALYZE")

        list(threads.map(people, owners))
        wait_copied(engines, max_wait=600)
        list(threads.map(studies, owners))
        wait_copied(engines, max_wait=600)
        # When nobody else sees older rows: before, indexes would not answer alone.
        list(threads.map(lambda owner: owner.execute("VACUUM (ANALYZE)"), owners.values()))
        return _people(next(iter(owners.values())))


def _people(owner: Raw) -> People:
    found = owner.execute(
        "SELECT instructor_id, (array_agg(id))[1] FROM courses GROUP BY 1 ORDER BY 1"
    ).fetchall()
    usual = found[len(found) // 2]
    return People(course=usual[1], usual=usual[0], star=found[0][0])
