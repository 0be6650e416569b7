from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import func, select

from elearning.documents import CourseContent
from elearning.errors import MalformedFile
from elearning.flows import Platform, deliver_all
from elearning.ids import region_of
from elearning.importing.catalog import fixtures_folder, load_catalog, read_people
from elearning.models import Course, CourseCategory, CourseLesson, CourseStatus
from elearning.regions import Region
from elearning.routing import RoutingSession

FIXTURES = fixtures_folder()
PERSON = "[[people]]\nregion='asia'\nemail='a@b.co'\nfirst_name='A'\nlast_name='B'\n"


@pytest.mark.parametrize("region", list(Region), ids=str)
async def test_every_catalog_loads_and_loads_again(platform: Platform, region: Region) -> None:
    file = FIXTURES / f"{region}.toml"
    async with platform.session(region) as session, session.begin():
        first = await session.run_sync(load_catalog, region, file)
    async with platform.session(region) as session, session.begin():
        again = await session.run_sync(load_catalog, region, file)
    assert first.courses >= 2
    assert first.lessons >= 8
    assert (again.instructors, again.categories, again.courses, again.lessons) == (0, 0, 0, 0)
    await deliver_all(platform)
    async with platform.session(region, consistency="primary") as session:
        lessons = (await session.scalars(select(CourseLesson))).all()
        courses = (await session.scalars(select(Course))).all()
    assert {region_of(row.id) for row in (*lessons, *courses)} == {region}
    contents = {content.content_id: content async for content in CourseContent.find_all()}
    assert {lesson.content_id for lesson in lessons} == set(contents)
    for lesson in lessons:
        assert lesson.content_id is not None
        assert contents[lesson.content_id].lesson_id == lesson.id


async def test_two_catalogs_of_one_shard_share_slugs(platform: Platform) -> None:
    for region in (Region.NORTH_AMERICA, Region.SOUTH_AMERICA, Region.OCEANIA, Region.AFRICA):
        async with platform.session(region) as session, session.begin():
            await session.run_sync(load_catalog, region, FIXTURES / f"{region}.toml")
    async with platform.session("africa", consistency="primary") as session:
        slugs = (await session.scalars(select(CourseCategory.slug))).all()
        states = set(await session.scalars(select(Course.status)))
    assert "programming" in slugs
    assert CourseStatus.PUBLISHED in states


def test_people_of_all_six_regions() -> None:
    people = read_people(FIXTURES / "people.toml")
    assert {person.region for person in people} == set(Region)
    assert len({person.email for person in people}) == len(people)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('currency = "EUR"', 'currency = "XXX"', "unknown currency 'XXX'"),
        ('level = "advanced"', 'level = "hard"', "'hard' is not a valid CourseLevel"),
        ("[[categories]]", "[[categories", "at line"),
        ("[[categories]]", "[[kinds]]", "'categories' is missing"),
        ('type = "quiz"', 'type = "exam"', "'exam' is not a valid LessonType"),
        ('content_type = "quiz"', 'content_type = "video"', "needs video_url"),
        ("answer = 0", "answer = 9", "no index of"),
        ('category = "', 'category = "no-', "is missing"),
    ],
)
def test_a_file_that_is_wrong_is_named_and_leaves_nothing(
    session: RoutingSession, tmp_path: Path, old: str, new: str, problem: str
) -> None:
    text = (FIXTURES / "europe.toml").read_text("utf-8")
    assert old in text
    file = tmp_path / "europe.toml"
    file.write_text(text.replace(old, new), "utf-8")
    with pytest.raises(MalformedFile, match=problem) as caught:
        load_catalog(session, Region.EUROPE, file)
    assert str(file) in str(caught.value)
    session.rollback()
    assert session.scalar(select(func.count()).select_from(Course)) == 0


def test_a_missing_file(session: RoutingSession, tmp_path: Path) -> None:
    with pytest.raises(MalformedFile, match="No such file"):
        load_catalog(session, Region.EUROPE, tmp_path / "none.toml")
    with pytest.raises(MalformedFile, match="No such file"):
        read_people(tmp_path / "none.toml")


@pytest.mark.parametrize(
    "text",
    [
        "x = 1",
        "[[people]]\nemail = 'a@b.co'",
        PERSON.replace("asia", "mars") + "preferences={}",
        PERSON + "preferences={learning_pace='warp'}",
    ],
)
def test_people_that_are_wrong(tmp_path: Path, text: str) -> None:
    file = tmp_path / "people.toml"
    file.write_text(text)
    with pytest.raises(MalformedFile, match=r"people\.toml"):
        read_people(file)
