from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from elearning.errors import InvalidId, UnknownRegion
from elearning.ids import created_at_of, new_id, parse_id, region_of
from elearning.regions import Region
from elearning.routing import Engines

regions = st.sampled_from(Region)


@given(regions)
def test_an_id_tells_its_region_and_time(region: Region) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    made = new_id(region)
    assert region_of(made) is region
    assert made.version == 8
    assert made.variant == "specified in RFC 4122"
    assert before <= created_at_of(made) <= datetime.now(UTC)
    assert parse_id(str(made)) == made


def test_ids_are_distinct_and_sort_by_time() -> None:
    ids = [new_id("asia") for _ in range(10_000)]
    assert len(set(ids)) == len(ids)
    times = [one.int >> 80 for one in ids]
    assert times == sorted(times)


@given(st.uuids())
def test_a_strange_uuid_is_refused_or_carries_a_region(strange: UUID) -> None:
    if strange.version == 8 and 1 <= strange.bytes[7] <= 6:
        assert region_of(strange).code == strange.bytes[7]
    else:
        with pytest.raises(InvalidId, match=str(strange)):
            region_of(strange)


@pytest.mark.parametrize("text", ["", "1", "not-a-uuid", str(uuid4()), "0" * 32])
def test_a_text_that_is_no_id(text: str) -> None:
    with pytest.raises(InvalidId):
        parse_id(text)


def test_no_id_of_an_unknown_region() -> None:
    with pytest.raises(UnknownRegion):
        new_id("atlantis")


@pytest.mark.parametrize("region", list(Region), ids=str)
def test_sql_makes_the_same_ids(engines: Engines, region: Region) -> None:
    with engines.primary(engines.home(region)).engine.connect() as connection:
        made = connection.scalars(
            select(func.new_id(func.region_code(region.value))).select_from(
                func.generate_series(1, 1000).alias()
            )
        ).all()
        codes = set(connection.scalars(select(func.region_code_of(made[0]))))
    assert len(set(made)) == 1000
    assert {region_of(one) for one in made} == {region}
    assert codes == {region.code}
    assert all(one.variant == "specified in RFC 4122" for one in made)
    assert all(abs(created_at_of(one) - datetime.now(UTC)) < timedelta(minutes=1) for one in made)
