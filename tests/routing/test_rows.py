from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import Connection, event, inspect, select
from sqlalchemy.orm import ORMExecuteState

from elearning.ids import new_id
from elearning.models import Base, Course, Record, User
from elearning.routing import Engines, RoutingSession
from elearning.routing.rows import reader_of
from elearning.routing.statements import form_of
from elearning.testing.factories import CourseFactory, UserFactory, bound

pytestmark = pytest.mark.usefixtures("empty_databases")


@pytest.fixture
def user_id(engines: Engines) -> UUID:
    with RoutingSession(engines=engines, region="europe") as session, bound(session):
        user_id = UserFactory.create(first_name="Ada").id
        session.commit()
        # The replica has it from here on.
        session.scalars(select(User.id).where(User.id == user_id)).one()
    return user_id


def test_each_table_has_a_reader(engines: Engines) -> None:
    with engines.primary("eu").engine.begin() as connection:
        _has_readers(connection)


def _has_readers(connection: Connection) -> None:
    for mapper in Base.registry.mappers:
        statement = select(mapper.class_)
        form = form_of(statement)._replace(kept={})
        assert reader_of(statement, form, connection) is None, "it may not come again"
        reader = reader_of(statement, form, connection)
        assert (reader is None) is not issubclass(mapper.class_, Record)


@pytest.mark.parametrize("model", [User, Course])
def test_a_row_is_what_the_orm_makes_of_it(engines: Engines, model: type[Record]) -> None:
    with RoutingSession(engines=engines, region="europe") as session, bound(session):
        row_id = (UserFactory if model is User else CourseFactory).create().id
        session.commit()
        expected = session.scalars(select(model).where(model.id == row_id)).one()
        token = session.token
    with RoutingSession(engines=engines, token=token) as session:
        row = session.get_one(model, row_id)
        assert inspect(row).persistent
        assert not inspect(row).unloaded - set(inspect(model).relationships.keys())
        assert not session.dirty
        assert row in session
        assert session.get(model, row_id) is row
        assert session.scalars(select(model).where(model.id == row_id)).one() is row
    loaded = {name: inspect(expected).dict[name] for name in inspect(model).column_attrs.keys()}  # noqa: SIM118 - no mapping
    assert {name: inspect(row).dict[name] for name in loaded} == loaded


def test_a_row_is_changed_and_refreshed(engines: Engines, user_id: UUID) -> None:
    with RoutingSession(engines=engines) as session:
        user = session.get_one(User, user_id)
        user.first_name = "Grace"
        assert inspect(user).attrs.first_name.history.deleted == ["Ada"]
        session.commit()
        assert user.first_name == "Grace"
        session.rollback()
        session.refresh(user)
        session.delete(user)
        session.commit()
        assert session.get(User, user_id) is None
        assert session.get(User, new_id("asia")) is None


def test_whoever_listens_hears_of_it(engines: Engines, user_id: UUID) -> None:
    heard: list[str] = []

    def executed(state: ORMExecuteState) -> None:
        heard.append(f"{len(state.parameters or ())} parameter")

    def loaded(*_: object) -> None:
        heard.append("loaded")

    with RoutingSession(engines=engines) as session:
        event.listen(session, "do_orm_execute", executed)
        event.listen(session, "loaded_as_persistent", loaded)
        session.get_one(User, user_id)
    event.listen(User, "load", loaded)
    try:
        with RoutingSession(engines=engines) as session:
            session.get_one(User, user_id)
    finally:
        event.remove(User, "load", loaded)
    assert heard == ["1 parameter", "loaded", "loaded"]


def test_what_is_pending_is_written_first(engines: Engines, user_id: UUID) -> None:
    with RoutingSession(engines=engines, region="europe") as session:
        session.add(User(id=new_id("europe"), email="b@x.example", first_name="B", last_name="C"))
        session.get_one(User, user_id)
        assert not session.new
