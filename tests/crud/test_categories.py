"""The tree of subjects."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, select, text

from elearning.crud import (
    CategoryNode,
    NewCategory,
    category_branch,
    category_breadcrumbs,
    category_tree,
    create_category,
    list_categories,
    move_category,
    update_category,
)
from elearning.errors import (
    CategoryCycle,
    CategoryElsewhere,
    CategoryNotFound,
    CategoryTaken,
    ElearningError,
    InvalidId,
    InvalidText,
    IsolationTooHigh,
    SlugTaken,
    StaleEdit,
    UnknownField,
    UnknownRegion,
)
from elearning.ids import new_id, region_of
from elearning.models import Course, CourseCategory, CourseStatus
from elearning.regions import Region
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import CourseFactory, bound
from tests.crud.editing import wait_everywhere
from tests.models.support import pid_of, stops_another, until
from tests.served import served
from tests.snapshots import Snapshot

STRANGER = new_id("europe")


def make(session: RoutingSession, tree: dict[str, Any], region: str = "europe") -> dict[str, UUID]:
    """Make a tree of categories of these names; return their ids."""
    found: dict[str, UUID] = {}

    def below(parent_id: UUID | None, branches: dict[str, Any]) -> None:
        for name, branch in branches.items():
            own = region if parent_id is None else None
            row = create_category(
                session, NewCategory(category_name=name, parent_id=parent_id, region=own)
            )
            found[name] = row.id
            below(row.id, branch)

    below(None, tree)
    return found


SCIENCE: dict[str, Any] = {
    "Science": {"Physics": {"Optics": {}, "Acoustics": {}}, "Biology": {}},
    "Arts": {},
}


def test_create_category(session: RoutingSession, engines: Engines) -> None:
    session.commit()
    with served(engines) as nodes:
        root = create_category(
            session, NewCategory(category_name=" Künste & mehr ", region="asia", description="d")
        )
    assert nodes == ["asia-primary"]
    assert (root.category_name, root.slug, root.parent_id) == ("Künste & mehr", "kunste-mehr", None)
    assert region_of(root.id) is Region.ASIA
    child = create_category(
        session, NewCategory(category_name="Music", parent_id=root.id, slug="m")
    )
    assert (region_of(child.id), child.slug, child.parent_id) == (Region.ASIA, "m", root.id)
    session.commit()
    assert session.get_one(CourseCategory, child.id).description == ""


def test_what_is_wrong(session: RoutingSession, snapshot: Snapshot) -> None:
    ids = make(session, SCIENCE)
    session.commit()
    before = snapshot()
    wrong: list[tuple[type[ElearningError], Callable[[], object]]] = [
        (InvalidText, lambda: NewCategory(category_name=" ", region="europe")),
        (InvalidText, lambda: NewCategory(category_name="!!!", region="europe")),
        (InvalidText, lambda: NewCategory(category_name="A")),
        (InvalidText, lambda: NewCategory(category_name="A", region="asia", parent_id=STRANGER)),
        (InvalidId, lambda: NewCategory(category_name="A", parent_id=UUID(int=5))),
        (UnknownRegion, lambda: NewCategory(category_name="A", region="mars")),
        (InvalidText, lambda: update_category(session, ids["Arts"], slug="A B")),
        (
            UnknownField,
            lambda: update_category(session, ids["Arts"], parent_id=STRANGER),  # type: ignore[call-arg]
        ),
        (CategoryNotFound, lambda: update_category(session, STRANGER, slug="x")),
        (CategoryNotFound, lambda: move_category(session, STRANGER, None)),
        (CategoryNotFound, lambda: move_category(session, ids["Arts"], STRANGER)),
        (InvalidText, lambda: move_category(session, ids["Arts"], "x")),  # type: ignore[arg-type]
        (
            CategoryNotFound,
            lambda: create_category(session, NewCategory(category_name="A", parent_id=STRANGER)),
        ),
        (CategoryTaken, lambda: make(session, {"Arts": {}})),
        (CategoryTaken, lambda: update_category(session, ids["Arts"], category_name="Physics")),
        (SlugTaken, lambda: update_category(session, ids["Arts"], slug="physics")),
        (
            SlugTaken,
            lambda: create_category(
                session, NewCategory(category_name="A", slug="arts", region="europe")
            ),
        ),
    ]
    for error, wrongly in wrong:
        with pytest.raises(error):
            wrongly()
        session.rollback()
    assert snapshot() == before
    for read in (category_breadcrumbs, category_branch, category_tree):
        with pytest.raises(CategoryNotFound, match=str(STRANGER)):
            read(session, STRANGER)


def test_update_category(session: RoutingSession, engines: Engines) -> None:
    category_id = make(session, {"Arts": {}}, "asia")["Arts"]
    session.commit()
    with served(engines) as nodes:
        row = update_category(session, category_id, category_name="Music")
    assert nodes == ["asia-primary"] * 2
    assert (row.category_name, row.slug) == ("Music", "arts")
    version = row.row_version
    session.commit()
    with RoutingSession(engines=engines, region="europe") as other:
        update_category(other, category_id, row_version=version, slug="music", description="x")
        other.commit()
        with pytest.raises(StaleEdit):
            update_category(other, category_id, row_version=version, slug="late")


def test_move_category(session: RoutingSession, engines: Engines, snapshot: Snapshot) -> None:
    ids = make(session, SCIENCE)
    session.commit()
    held = session.get_one(CourseCategory, ids["Physics"])
    assert held.parent_id == ids["Science"]
    with RoutingSession(engines=engines, region="asia") as other, served(engines) as nodes:
        moved = move_category(other, ids["Physics"], ids["Arts"])
        assert nodes == ["eu-primary"]
        assert moved.parent_id == ids["Arts"]
        other.commit()
    # What was read before is too old to be changed.
    held.slug = "stale"
    with pytest.raises(Exception, match="expected to update 1 row"):
        session.flush()
    session.rollback()
    assert [each.category_name for each in category_breadcrumbs(session, ids["Optics"])] == [
        "Arts",
        "Physics",
        "Optics",
    ]
    session.commit()
    before = snapshot()
    for parent in ("Physics", "Optics"):
        with pytest.raises(CategoryCycle, match=str(ids[parent])):
            move_category(session, ids["Physics"], ids[parent])
        session.rollback()
    assert snapshot() == before
    assert move_category(session, ids["Physics"], None).parent_id is None
    session.commit()
    session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    with pytest.raises(IsolationTooHigh):
        move_category(session, ids["Physics"], ids["Arts"])


def test_a_tree_is_on_one_shard(session: RoutingSession, engines: Engines) -> None:
    here = make(session, {"Here": {}})["Here"]
    session.commit()
    there = make(session, {"There": {}}, "asia")["There"]
    session.commit()
    wait_everywhere(engines)
    with pytest.raises(CategoryElsewhere, match=str(there)):
        move_category(session, here, there)
    session.rollback()
    # Two regions of one shard are fine.
    near = make(session, {"Near": {}}, "africa")["Near"]
    assert move_category(session, here, near).parent_id == near


def test_opposite_moves_at_once(session: RoutingSession, engines: Engines) -> None:
    ids = make(session, {"A": {}, "B": {}})
    session.commit()

    def other() -> bool:
        with RoutingSession(engines=engines, region="asia") as own:
            try:
                move_category(own, ids["B"], ids["A"])
            except CategoryCycle:
                return False
            own.commit()
            return True

    with engines.primary("eu").engine.connect() as watch, ThreadPoolExecutor(1) as thread:
        move_category(session, ids["A"], ids["B"])
        pid = pid_of(session.connection())
        late = thread.submit(other)
        until(lambda: late.done() or stops_another(watch, pid))
        assert not late.done()
        session.commit()
        assert late.result() is False


def names(nodes: Any) -> Any:
    return [
        (each.category_name, each.courses, each.all_courses, names(each.children)) for each in nodes
    ]


def test_reading_from_the_local_replica(session: RoutingSession, engines: Engines) -> None:
    ids = make(session, SCIENCE)
    with bound(session):
        for name, number in {"Science": 1, "Optics": 2, "Acoustics": 1, "Arts": 1}.items():
            CourseFactory.create_batch(number, category_id=ids[name])
        CourseFactory.create(category_id=ids["Optics"], status=CourseStatus.DRAFT)
        CourseFactory.create()
    session.commit()
    elsewhere = make(session, {"Elsewhere": {}}, "north_america")["Elsewhere"]
    session.commit()
    wait_everywhere(engines)
    physics: Any = ("Physics", 0, 3, [("Acoustics", 1, 1, []), ("Optics", 2, 2, [])])
    science = ("Science", 1, 4, [("Biology", 0, 0, []), physics])
    with RoutingSession(engines=engines, region="asia") as reader, served(engines) as nodes:
        tree = category_tree(reader)
        assert names(tree) == [("Arts", 1, 1, []), ("Elsewhere", 0, 0, []), science]
        assert names(category_tree(reader, ids["Science"])) == [science]
        assert names(category_tree(reader, ids["Physics"])) == [physics]
        assert names(category_tree(reader, elsewhere)) == [("Elsewhere", 0, 0, [])]
        steps = category_breadcrumbs(reader, ids["Optics"])
        assert [(each.category_name, each.slug, each.id) for each in steps] == [
            (name, name.lower(), ids[name]) for name in ("Science", "Physics", "Optics")
        ]
        assert set(category_branch(reader, ids["Physics"])) == {
            ids[name] for name in ("Physics", "Optics", "Acoustics")
        }
        assert category_branch(reader, ids["Arts"]) == [ids["Arts"]]
        children = list_categories(ids["Science"]).page(reader, size=1)
        assert [each.category_name for each in children.items] == ["Biology"]
        children = list_categories(ids["Science"]).page(reader, after=children.next)
        assert [each.category_name for each in children.items] == ["Physics"]
        roots = list_categories().page(reader)
        assert [each.category_name for each in roots.items] == ["Arts", "Elsewhere", "Science"]
    assert nodes == ["asia-replica-1"] * 10
    assert isinstance(tree[0], CategoryNode)


def test_reading_what_was_just_written(session: RoutingSession, engines: Engines) -> None:
    with RoutingSession(engines=engines, region="asia") as own:
        ids = make(own, SCIENCE)
        own.commit()
        # The session's token says so: not from a copy, which may come later.
        with served(engines) as nodes:
            assert len(category_breadcrumbs(own, ids["Optics"])) == 3
            assert len(category_branch(own, ids["Science"])) == 5
            assert len(category_tree(own, ids["Science"])[0].children) == 2
            assert len(list_categories(ids["Science"]).page(own).items) == 2
        assert {name.partition("-")[0] for name in nodes} == {"eu"}


def test_the_courses_are_counted_in_the_index(session: RoutingSession) -> None:
    ids = [make(session, {f"Category {number}": {}}) for number in range(3)]
    with bound(session):
        model = CourseFactory.create()
    few = [next(iter(each.values())) for each in ids]
    session.execute(
        insert(Course),
        [
            {
                "id": new_id("europe"),
                "course_code": f"X-{number}",
                "slug": f"x-{number}",
                "title": "X" * 200,
                "instructor_id": model.instructor_id,
                "category_id": few[number % 3],
                "currency": "EUR",
                "language": "en",
                "status": CourseStatus.PUBLISHED,
                "published_at": model.published_at,
            }
            for number in range(600)
        ],
    )
    connection = session.connection()
    connection.execute(text("SET LOCAL enable_seqscan = off"))
    statement = (
        select(Course.category_id)
        .where(Course.status == "published", Course.category_id.is_not(None))
        .compile(connection, compile_kwargs={"literal_binds": True})
    )
    plan = "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement}"))
    assert "Index Only Scan using idx_courses_category_published" in plan
    tree = category_tree(session)
    assert [each.courses for each in tree] == [200] * 3
