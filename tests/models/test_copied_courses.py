"""What copies of courses are found by and sorted by, which each shard keeps for itself."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection

from elearning.ids import new_id
from tests.models.support import scalar
from tests.models.world import World, insert_copy

STRANGER = new_id("asia")
COPY = {"id": STRANGER, "instructor_id": new_id("asia")}


def test_keep_course_search_of_copies(root: Connection, world: World) -> None:
    root.exec_driver_sql("SET LOCAL session_replication_role = replica")
    insert_copy(root, world, "courses", **COPY, title="Sailing boats", language="en")

    def found(word: str) -> Any:
        return scalar(
            root,
            "SELECT document @@ to_tsquery('english', %(word)s) FROM course_search "
            f"WHERE course_id = '{STRANGER}'",
            word=word,
        )

    assert found("boat") is True
    root.exec_driver_sql(f"UPDATE courses SET title = 'Knots' WHERE id = '{STRANGER}'")
    assert (found("boat"), found("knot")) == (False, True)
    root.exec_driver_sql(f"DELETE FROM courses WHERE id = '{STRANGER}'")
    assert found("knot") is None
    popularity = f"SELECT count(*) FROM course_popularity WHERE course_id = '{STRANGER}'"
    assert scalar(root, popularity) == 0


@pytest.mark.parametrize("first", ["course", "counters"])
def test_sum_course_ratings_of_copies_in_any_order(
    root: Connection, world: World, first: str
) -> None:
    root.exec_driver_sql("SET LOCAL session_replication_role = replica")

    def copy_course() -> None:
        insert_copy(root, world, "courses", **COPY)

    def copy_counters() -> None:
        for region, number in ((5, 4), (1, 2)):
            root.exec_driver_sql(
                "INSERT INTO course_statistics (course_id, region_code, enrollments, completions) "
                f"VALUES ('{STRANGER}', {region}, {number}, 1)"
            )

    steps = [copy_course, copy_counters]
    for step in steps if first == "course" else reversed(steps):
        step()
    root.exec_driver_sql(
        "UPDATE course_statistics SET enrollments = 9, completions = 3 "
        f"WHERE course_id = '{STRANGER}' AND region_code = 5"
    )
    found = f"SELECT enrollments, completions FROM course_popularity WHERE course_id = '{STRANGER}'"
    assert root.exec_driver_sql(found).all() == [(11, 4)]
    # Whichever goes first, nothing stays.
    deletions = [
        f"DELETE FROM courses WHERE id = '{STRANGER}'",
        f"DELETE FROM course_statistics WHERE course_id = '{STRANGER}'",
    ]
    for deletion in deletions if first == "counters" else reversed(deletions):
        root.exec_driver_sql(deletion)
    left = root.exec_driver_sql(found).all()
    assert left == ([] if first == "course" else [(0, 0)])
