"""Accounts on one shard: names, profile, role, status, login, password."""

from __future__ import annotations

import logging
from dataclasses import fields
from datetime import UTC, date, datetime
from typing import Any

import pytest
from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, select

from elearning import passwords
from elearning.crud import (
    NewUser,
    ProfileFields,
    authenticate,
    create_user_token,
    get_user,
    note_login,
    require_active,
    set_password,
    set_status,
    set_user_type,
    update_profile,
    update_user,
)
from elearning.crud.accounts.user_fields import checked_profile
from elearning.errors import (
    AccountNotActive,
    ElearningError,
    InvalidCredentials,
    InvalidEmail,
    InvalidPassword,
    InvalidText,
    UserNotFound,
)
from elearning.ids import new_id
from elearning.models import Course, User, UserProfile, UserStatus, UserToken, UserType
from elearning.passwords import renewed_hash, verify_password
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import CourseFactory, UserFactory, UserProfileFactory, bound
from tests.served import served

STRANGER = new_id("europe")
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
FORMER = PasswordHasher(time_cost=2, memory_cost=8, parallelism=1)
RIGHT = "correct horse battery staple"


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let hashes be quick; how dear they are is shown in tests/test_passwords.py."""
    nobodys = CHEAP.hash("nobody's" + RIGHT)
    monkeypatch.setattr(passwords, "_HASHER", CHEAP)
    monkeypatch.setattr(passwords, "_NOBODYS", nobodys)


@pytest.fixture
def user(session: RoutingSession) -> User:
    with bound(session):
        made = UserProfileFactory.create(
            user__first_name="Ada",
            user__last_name="Byron",
            user__email="ada@example.com",
            user__password_hash=CHEAP.hash(RIGHT),
            city="London",
        ).user
    session.commit()
    session.refresh(made)
    return made


# names and profile


def test_new_names_reach_the_courses(session: RoutingSession, user: User) -> None:
    with bound(session):
        course = CourseFactory.create(instructor=user)
    assert course.instructor_name == "Ada Byron"
    changed = update_user(session, user.id, last_name=" Lovelace ")
    assert changed is user
    assert (user.first_name, user.last_name) == ("Ada", "Lovelace")
    assert course.instructor_name == "Ada Lovelace"
    # What the session holds is as new as the row, so that it can be written.
    user.first_name, course.title = "Augusta", "Engines"
    session.commit()
    assert session.get_one(Course, course.id).instructor_name == "Augusta Lovelace"


def test_a_change_is_one_statement_on_the_primary(engines: Engines, user: User) -> None:
    with RoutingSession(engines=engines, region="asia") as session, served(engines) as nodes:
        update_user(session, user.id, first_name="Augusta", last_name="King")
        update_profile(session, user.id, bio="x", country="GB")
        set_user_type(session, user.id, "admin")
        set_status(session, user.id, "inactive")
        note_login(session, user.id)
    assert nodes == ["eu-primary"] * 5


@pytest.mark.parametrize(
    "names",
    [{}, {"first_name": " "}, {"last_name": "x" * 101}, {"first_name": "a\x00"}, {"last_name": 5}],
)
def test_wrong_names_change_nothing(session: RoutingSession, user: User, names: Any) -> None:
    with pytest.raises(InvalidText):
        update_user(session, user.id, **names)
    session.refresh(user)
    assert (user.first_name, user.last_name) == ("Ada", "Byron")


def test_a_profile_changes_field_by_field(session: RoutingSession, user: User) -> None:
    values: ProfileFields = {
        "phone_number": "+44 20",
        "date_of_birth": date(1815, 12, 10),
        "country": "GB",
        "subdivision": "England",
        "city": "Marylebone",
        "bio": " First programmer ",
        "avatar_url": "https://example.com/ada.png",
        "locale": "en-GB",
        "time_zone": "Europe/London",
    }
    assert set(values) == set(ProfileFields.__annotations__)
    profile = update_profile(session, user.id, **values)
    expected = {**values, "bio": "First programmer"}
    assert {name: getattr(profile, name) for name in values} == expected
    update_profile(session, user.id, city="Ockham", bio=None)
    session.commit()
    found = get_user(session, user.id).profile
    assert found is not None
    assert {name: getattr(found, name) for name in values} == {
        **expected,
        "city": "Ockham",
        "bio": None,
    }


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"id": STRANGER},
        {"email": "x@example.com"},
        {"country": "gb"},
        {"country": "GBR"},
        {"date_of_birth": datetime(1990, 1, 1, tzinfo=UTC)},
        {"date_of_birth": "1990-01-01"},
        {"locale": None},
        {"time_zone": ""},
        {"bio": "x" * 10_001},
        {"city": "a\x00b"},
        {"city": "Paris", "phone_number": "1" * 33},
    ],
)
def test_a_wrong_field_changes_nothing(session: RoutingSession, user: User, fields: Any) -> None:
    with pytest.raises(InvalidText):
        update_profile(session, user.id, **fields)
    session.expire_all()
    assert session.scalars(select(UserProfile.city)).all() == ["London"]


def test_an_account_without_a_profile_gets_one(session: RoutingSession) -> None:
    with bound(session):
        user = UserFactory.create()
    made = update_profile(session, user.id, city="Bergen")
    assert (made.user_id, made.city, made.locale) == (user.id, "Bergen", "en")
    assert update_profile(session, user.id, bio="x") is made
    assert (made.city, made.bio) == ("Bergen", "x")


def test_two_that_make_the_same_profile(engines: Engines, session: RoutingSession) -> None:
    with bound(session):
        user_id = UserFactory.create().id
    session.commit()
    with RoutingSession(engines=engines) as other:
        # Both find none; the other one is first.
        waiting: list[str] = []

        def be_late(_c: object, _cu: object, sql: str, *_: object) -> None:
            if sql.startswith("INSERT INTO user_profiles") and not waiting:
                waiting.append(sql)
                update_profile(other, user_id, city="Oslo", bio="first")
                other.commit()

        engine = engines.primary("eu").engine
        event.listen(engine, "before_cursor_execute", be_late)
        try:
            update_profile(session, user_id, city="Bergen")
        finally:
            event.remove(engine, "before_cursor_execute", be_late)
    session.commit()
    profile = session.scalars(select(UserProfile)).one()
    assert (profile.city, profile.bio) == ("Bergen", "first")


VALUES = st.one_of(
    st.none(),
    st.integers(),
    st.dates(),
    st.datetimes(),
    st.text(max_size=40),
    st.sampled_from(["GB", "gb", " GB ", "x" * 120, "x" * 10_001, "a\x00", "\ud800"]),
)


@given(st.sampled_from(sorted(ProfileFields.__annotations__)), VALUES)
def test_registration_and_change_check_alike(name: str, value: Any) -> None:
    def outcome(check: Any) -> object:
        try:
            return check()
        except InvalidText as error:
            return str(error)

    def registered() -> Any:
        known: dict[str, Any] = {"email": "a@example.com", "first_name": "A", "last_name": "B"}
        return getattr(NewUser(region="europe", **known, **{name: value}), name)

    assert outcome(registered) == outcome(lambda: checked_profile({name: value})[name])


def test_each_field_of_a_profile_can_be_registered() -> None:
    assert set(ProfileFields.__annotations__) < {each.name for each in fields(NewUser)}


# role, status, login


def test_role_status_and_login(session: RoutingSession, user: User) -> None:
    assert set_user_type(session, user.id, UserType.INSTRUCTOR).user_type is UserType.INSTRUCTOR
    assert set_status(session, user.id, "suspended").status is UserStatus.SUSPENDED
    assert user.last_login is None
    seen = note_login(session, user.id)
    assert seen is user
    assert seen.last_login is not None
    assert abs((seen.last_login - datetime.now(UTC)).total_seconds()) < 60
    user.first_name = "Augusta"
    session.commit()


@pytest.mark.parametrize("wrong", ["wizard", "", None, 5, ["active"], "x" * 10_000])
def test_no_such_role_or_status(session: RoutingSession, user: User, wrong: Any) -> None:
    for change in (set_user_type, set_status):
        with pytest.raises(InvalidText, match="is none of") as caught:
            change(session, user.id, wrong)
        assert len(str(caught.value)) < 250


def test_nobody_is_changed(session: RoutingSession, user: User) -> None:
    for change in (
        lambda: update_user(session, STRANGER, first_name="X"),
        lambda: update_profile(session, STRANGER, city="X"),
        lambda: set_user_type(session, STRANGER, "admin"),
        lambda: set_status(session, STRANGER, "inactive"),
        lambda: note_login(session, STRANGER),
        lambda: set_password(session, STRANGER, None),
        lambda: require_active(session, STRANGER),
    ):
        with pytest.raises(UserNotFound, match=str(STRANGER)):
            change()
    # The transaction goes on.
    assert session.scalar(select(User.first_name)) == "Ada"


def test_only_an_active_account_may_be_used(
    engines: Engines, session: RoutingSession, user: User
) -> None:
    with RoutingSession(engines=engines, token=session.token) as other, served(engines) as nodes:
        require_active(other, user.id)
    assert nodes == ["eu-replica-1"]
    for status in ("inactive", "suspended"):
        set_status(session, user.id, status)
        with pytest.raises(AccountNotActive, match=f"{user.id} is {status}"):
            require_active(session, user.id)


# passwords


def test_another_password_ends_the_open_resets(session: RoutingSession, user: User) -> None:
    for purpose in ("password_reset", "email_verification"):
        create_user_token(session, user.id, purpose)
    set_password(session, user.id, CHEAP.hash("another password"))
    used = select(UserToken.purpose).where(UserToken.used_at.is_not(None))
    assert session.scalars(used).all() == ["password_reset"]
    assert authenticate(session, user.email, "another password") is user
    with pytest.raises(InvalidCredentials):
        authenticate(session, user.email, RIGHT)


@pytest.mark.parametrize("wrong", [RIGHT, "", "$" * 501, 5])
def test_what_is_no_hash_is_not_stored(session: RoutingSession, user: User, wrong: Any) -> None:
    with pytest.raises(InvalidText, match="password_hash") as caught:
        set_password(session, user.id, wrong)
    assert not wrong or str(wrong) not in str(caught.value)
    assert authenticate(session, user.email, RIGHT) is user


def test_who_is_let_in(engines: Engines, user: User) -> None:
    with RoutingSession(engines=engines, region="europe") as session, served(engines) as nodes:
        found = authenticate(session, " ADA@Example.com", RIGHT)
        assert found.id == user.id
        assert found.last_login is not None
        assert found.password_hash == user.password_hash
    assert nodes == ["eu-primary"] * 2


def test_who_is_not(session: RoutingSession, engines: Engines, user: User) -> None:
    with bound(session):
        UserFactory.create(email="none@example.com", password_hash=None)
        UserFactory.create(email="old@example.com", password_hash="$2b$12$unknown")
    session.commit()
    messages: set[str] = set()
    for email in ("ada@example.com", "none@example.com", "old@example.com", "no@example.com"):
        with served(engines) as nodes, pytest.raises(InvalidCredentials) as caught:
            authenticate(session, email, "wrong horse")
        session.rollback()
        assert nodes == ["eu-primary"], "as much as for anybody else"
        messages.add(str(caught.value))
    assert len(messages) == 1
    session.refresh(user)
    assert user.last_login is None


def test_the_status_is_told_with_the_right_password_only(
    session: RoutingSession, user: User
) -> None:
    for status in ("inactive", "suspended"):
        set_status(session, user.id, status)
        with pytest.raises(InvalidCredentials):
            authenticate(session, user.email, "wrong horse")
        with pytest.raises(AccountNotActive, match=status):
            authenticate(session, user.email, RIGHT)
    assert user.last_login is None


def test_a_hash_of_other_parameters_is_made_anew(session: RoutingSession, user: User) -> None:
    former = FORMER.hash(RIGHT)
    set_password(session, user.id, former)
    with pytest.raises(InvalidCredentials):
        authenticate(session, user.email, "wrong horse")
    session.refresh(user)
    assert user.password_hash == former
    authenticate(session, user.email, RIGHT)
    session.commit()
    session.refresh(user)
    assert user.password_hash not in (None, former)
    assert verify_password(RIGHT, user.password_hash)
    assert user.password_hash is not None
    assert renewed_hash(RIGHT, user.password_hash) is None


def test_what_can_be_nobodys_is_refused(session: RoutingSession, user: User) -> None:
    with pytest.raises(InvalidPassword):
        authenticate(session, user.email, "x" * 1_025)
    with pytest.raises(InvalidPassword):
        authenticate(session, "no@example.com", "x\x00")
    with pytest.raises(InvalidEmail):
        authenticate(session, "no address", RIGHT)


# secrets


def test_no_secret_is_shown(
    session: RoutingSession, user: User, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    newcomer = NewUser(
        region="europe",
        email="n@example.com",
        first_name="N",
        last_name="N",
        password_hash=user.password_hash,
    )
    stored = session.execute(select(User.__table__)).one()
    shown = [repr(newcomer), repr(user), str(user.to_dict()), repr(stored)]
    issued = create_user_token(session, user.id, "password_reset")
    token = session.scalars(select(UserToken)).one()
    shown += [repr(issued), repr(token), str(token.to_dict())]
    errors: list[ElearningError] = []
    for email, password in (("ada@example.com", "wrong horse"), ("ada@example.com", RIGHT * 40)):
        with pytest.raises((InvalidCredentials, InvalidPassword)) as caught:
            authenticate(session, email, password)
        errors.append(caught.value)
    authenticate(session, "ada@example.com", RIGHT)
    session.commit()
    shown += [repr(error) + str(error) + repr(error.values) for error in errors]
    shown += [record.getMessage() for record in caplog.records]
    secrets = (str(user.password_hash), RIGHT, "wrong horse", issued.text, token.token_hash.hex())
    for text in shown:
        for secret in (*secrets, repr(token.token_hash)):
            assert secret not in text
    assert "password_hash" not in user.to_dict()
    assert "token_hash" not in token.to_dict()
