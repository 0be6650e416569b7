"""Counters where rows come in bulk, by replication, or by who owns the tables."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, text

from elearning.errors import NotPermitted
from tests.models.counted import counters, differences
from tests.models.support import scalar
from tests.models.world import World


def test_count_courses_is_of_home_only(root: Connection, world: World) -> None:
    course = "SELECT new_id(5) AS id, new_id(5) AS teacher"
    columns = "course_code, slug, title, instructor_id, currency, language"
    before = counters(root, "courses")
    root.exec_driver_sql("SET LOCAL session_replication_role = replica")
    root.exec_driver_sql(
        f"INSERT INTO courses (id, {columns}) "
        f"SELECT id, 'A', 'a', 'A', teacher, 'EUR', 'en' FROM ({course}) AS made"
    )
    root.exec_driver_sql(
        "UPDATE courses SET archived_at = now(), status = 'archived' WHERE slug = 'a'"
    )
    root.exec_driver_sql("DELETE FROM courses WHERE slug = 'a'")
    assert counters(root, "courses") == before


def test_count_courses_delete(root: Connection, world: World) -> None:
    # Only the owner may: an application archives.
    before = counters(root, "courses")
    columns = "course_code, slug, title, instructor_id, currency, language"
    root.exec_driver_sql(
        f"INSERT INTO courses (id, {columns}) "
        f"VALUES (new_id(3), 'A', 'a', 'A', '{world.instructor}', 'EUR', 'en')"
    )
    assert counters(root, "courses")["draft"] == before.get("draft", 0) + 1
    root.exec_driver_sql("DELETE FROM courses WHERE slug = 'a'")
    assert counters(root, "courses") == before


@pytest.mark.parametrize("role", ["origin", "replica"])
def test_update_course_statistics_by_what_is_replicated(
    root: Connection, world: World, role: str
) -> None:
    # A lesson of another shard's course goes, and people here have completed what is left.
    assert differences(root) == []
    lessons = root.execute(
        text(
            "SELECT l.id FROM course_lessons AS l JOIN course_modules AS m ON m.id = l.module_id "
            "JOIN enrollments AS e ON e.course_id = m.course_id WHERE e.id = :id ORDER BY l.id"
        ),
        {"id": world.enrollment},
    ).all()
    assert lessons
    before = counters(root, "enrollments")
    root.exec_driver_sql(f"SET LOCAL session_replication_role = {role}")
    root.exec_driver_sql(
        "UPDATE enrollments SET status = 'active', completion_date = NULL "
        f"WHERE id = '{world.enrollment}'"
    )
    root.exec_driver_sql(
        "UPDATE lesson_progress SET completed = true, completion_date = now() "
        f"WHERE enrollment_id = '{world.enrollment}'"
    )
    assert counters(root, "enrollments").get("completed", 0) == 1
    root.exec_driver_sql(
        f"INSERT INTO course_lessons (id, module_id, position, title, lesson_type) "
        f"SELECT new_id(3), module_id, 999, 'New', 'quiz' FROM course_lessons "
        f"WHERE id = '{lessons[0].id}'"
    )
    root.exec_driver_sql("UPDATE course_lessons SET archived_at = now() WHERE position <> 999")
    assert counters(root, "enrollments") != before
    assert differences(root) == []


def test_count_payments_in_bulk(root: Connection, world: World) -> None:
    before = counters(root, "revenue")
    # Many at once, as an import brings them, past the guards of single steps.
    root.exec_driver_sql("ALTER TABLE transactions DISABLE TRIGGER refuse_illegal_start")
    root.exec_driver_sql("ALTER TABLE transactions DISABLE TRIGGER require_invoice")
    many = (
        "INSERT INTO transactions (id, user_id, course_id, amount, currency, gateway, "
        "gateway_transaction_id, status, completed_at) "
        "SELECT new_id(3), '{user}', '{course}', 100 + n, "
        "CASE mod(n, 2) WHEN 0 THEN 'EUR' ELSE 'USD' END, 'bulk', "
        "n::text, '{status}', timestamptz '2024-01-31 22:00+00' + n * interval '1 h' "
        "FROM generate_series({first}, {last}) AS n"
    )
    ids = {"user": world.user, "course": world.course}
    root.exec_driver_sql(many.format(**ids, status="completed", first=1, last=5))
    root.exec_driver_sql(many.format(**ids, status="pending", first=6, last=9))
    assert differences(root) == []
    root.exec_driver_sql(
        "UPDATE transactions SET status = 'completed' WHERE gateway = 'bulk' AND status = 'pending'"
    )
    after = counters(root, "revenue")
    assert after["payments USD"] == 5
    assert after["payments EUR"] == before["payments EUR"] + 4
    assert differences(root) == []


def test_nobody_else_writes_counters(app: Connection, world: World) -> None:
    for table in ("course_months", "course_revenue", "platform_counters"):
        for statement in (f"DELETE FROM {table}", f"INSERT INTO {table} DEFAULT VALUES"):
            with (
                pytest.raises(NotPermitted, match="permission denied"),
                app.begin_nested(),
            ):
                app.exec_driver_sql(statement)


def test_fold_platform_counters_of_a_counter_that_is_null_in_part(root: Connection) -> None:
    # No month is a month of its own.
    root.exec_driver_sql("DELETE FROM platform_counters")
    root.exec_driver_sql(
        "INSERT INTO platform_counters (name, region_code, month, change) VALUES "
        "('x', 1, NULL, 2), ('x', 1, NULL, 3), ('x', 1, '2024-01-01', 4), ('x', 2, NULL, 5)"
    )
    assert scalar(root, "SELECT fold_platform_counters()") == 1
    found = root.exec_driver_sql("SELECT change FROM platform_counters ORDER BY 1")
    assert found.scalars().all() == [4, 5, 5]
