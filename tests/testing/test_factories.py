from __future__ import annotations

from typing import Any

import pytest

from elearning.ids import region_of
from elearning.regions import Region
from elearning.routing import Engines, RoutingSession
from elearning.testing import factories
from elearning.testing.factories import (
    CourseCategoryFactory,
    EnrollmentFactory,
    UserFactory,
    bound,
)

OWNED = [
    getattr(factories, name)
    for name in factories.__all__
    if name.endswith("Factory") and name != "CourseCategoryFactory"
]


@pytest.mark.parametrize("factory", OWNED, ids=lambda factory: factory.__name__)
def test_every_factory_makes_a_row_that_the_database_takes(
    session: RoutingSession, factory: Any
) -> None:
    with bound(session):
        row = factory.create()
    session.commit()
    assert region_of(row.id) is Region.EUROPE


@pytest.mark.parametrize("region", list(Region), ids=str)
def test_a_region_reaches_all_that_belongs_together(
    engines: Engines, empty_databases: None, region: Region
) -> None:
    with RoutingSession(engines=engines, region=region) as session, bound(session):
        enrollment = EnrollmentFactory.create(user__region=region)
        category = CourseCategoryFactory.create(region=region)
        session.commit()
        ids = (enrollment.id, enrollment.user_id, enrollment.course_id, category.id)
        found = {region_of(one) for one in ids}
    assert found == {region}


def test_a_factory_without_session_says_so() -> None:
    with pytest.raises(RuntimeError, match="No session"):
        UserFactory.create()
