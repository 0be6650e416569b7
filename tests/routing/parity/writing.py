"""Scenarios that write."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, delete, event, insert, inspect, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import (
    Mapper,
    make_transient,
    make_transient_to_detached,
    object_session,
    selectinload,
)

from elearning.ids import new_id
from elearning.models import (
    CourseCategory,
    OutboxMessage,
    PaymentMethod,
    PaymentMethodType,
    User,
    UserProfile,
)
from tests.routing.parity.world import (
    ANNA,
    BEN,
    CARA,
    DAN,
    MATHS,
    PAYPAL,
    PROFILE,
    ROOT,
    VISA,
    World,
    names,
    raised,
)

IDS = [new_id("africa") for _ in range(3)]


def dan(**values: Any) -> User:
    return User(
        **{"id": DAN, "email": "dan@example.com", "first_name": "Dan", "last_name": "New"} | values
    )


def rows(**values: Any) -> list[dict[str, Any]]:
    return [
        {"id": one, "email": f"row{n}@example.com", "first_name": f"Row {n}", "last_name": "R"}
        | values
        for n, one in enumerate(IDS)
    ]


def add(world: World) -> object:
    with world.open() as s:
        new = dan()
        s.add(new)
        states: list[object] = [new in s.new, inspect(new).pending]
        s.flush()
        states += [new in s.new, inspect(new).persistent, new.status.value, new.region.value]
        s.commit()
        return states, new.first_name


def ids_as_text(world: World) -> object:
    with world.open() as s:
        new: Any = dan(id=str(DAN), region="europe")
        s.add(new)
        s.add(PaymentMethod(id=new_id("europe"), user_id=str(DAN), method_type="paypal"))
        s.flush()
        card = s.scalars(select(PaymentMethod).where(PaymentMethod.user_id == DAN)).one()
        s.delete(card)
        s.bulk_save_objects([dan(id=str(IDS[0]), email="a@example.com", region="africa")])
        values = dict(rows()[1], id=str(IDS[1]), region="africa")
        s.bulk_insert_mappings(inspect(User), [values])
        s.execute(insert(User), dict(rows()[2], id=str(IDS[2]), region="africa"))
        s.commit()
        return len(s.scalars(select(User)).all()), new.first_name


def add_all_with_related_rows(world: World) -> object:
    with world.open() as s:
        new = dan(payment_methods=[])
        new.payment_methods.append(PaymentMethod(id=IDS[0], method_type="paypal"))
        new.profile = UserProfile(id=IDS[1], city="Oslo")
        s.add_all([new, OutboxMessage(topic="t", payload={"a": 1})])
        refused = raised(s.commit)  # ids of two regions
        s.rollback()
        new = dan()
        card, profile = (
            PaymentMethod(id=new_id("europe"), user=new, method_type="paypal"),
            UserProfile(id=new_id("europe"), user=new),
        )
        s.add(new)
        s.add_all([card, profile, OutboxMessage(topic="t", payload={"a": 1})])
        s.commit()
        s.delete(card)
        s.delete(profile)
        s.flush()
        s.delete(new)
        s.commit()
        return refused


def change(world: World) -> object:
    with world.open() as s:
        user = s.get_one(User, ANNA)
        user.last_name = "New"
        modified = s.is_modified(user), user in s.dirty, list(s.dirty) == [user]
        s.commit()
        user.last_name = "New"
        return modified, user in s.dirty, s.is_modified(user)


def change_a_counted_version(world: World) -> object:
    with world.open() as s:
        category = s.get_one(CourseCategory, MATHS)
        before = category.row_version
        category.description = "New"
        s.commit()
        return before, category.row_version


def remove(world: World) -> object:
    with world.open() as s:
        ben = s.get_one(User, BEN)
        s.delete(ben)
        marked = ben in s.deleted, ben in s
        s.flush()
        state = inspect(ben)
        states = ben in s.deleted, state.deleted, state.was_deleted
        s.commit()
        return marked, states, state.detached, raised(lambda: s.delete(dan()))


def remove_several(world: World) -> object:
    with world.open() as s:
        s.delete_all(s.scalars(select(PaymentMethod)).all())
        s.delete_all(each for each in [s.get_one(User, BEN), s.get_one(User, CARA)])
        s.commit()
        return s.scalars(select(User.first_name)).all()


def merge(world: World) -> object:
    with world.open() as s:
        known = s.merge(User(id=ANNA, last_name="Merged"))
        new = s.merge(dan())
        held = s.get_one(User, BEN)
        same = s.merge(User(id=BEN, last_name="Merged")) is held
        option = s.merge(User(id=CARA, last_name="M"), options=[selectinload(User.payment_methods)])
        states = known in s.dirty, new in s.new, same, known.first_name, option.payment_methods
        s.commit()
        return states


def merge_of_a_detached_row(world: World) -> object:
    with world.open() as s:
        anna = s.scalars(
            select(User).where(User.id == ANNA).options(selectinload(User.payment_methods))
        ).one()
    anna.last_name = "Merged"
    with world.open() as s:
        merged = s.merge(anna)
        s.commit()
        return merged is not anna, merged.last_name, inspect(anna).detached


def merge_without_load(world: World) -> object:
    with world.open() as s:
        anna = s.get_one(User, ANNA)
    with world.open() as s:
        merged = s.merge(anna, load=False)
        clean = merged in s.dirty, merged.first_name
        anna.last_name = "New"
        return (
            clean,
            raised(lambda: s.merge(anna, load=False)),
            raised(lambda: s.merge(dan(), load=False)),
        )


def merge_several(world: World) -> object:
    with world.open() as s:
        merged = s.merge_all([User(id=ANNA, last_name="Merged"), dan()])
        kept = s.merge_all((each for each in merged), load=True)
        s.commit()
        return names(merged), [one is other for one, other in zip(merged, kept, strict=True)]


def states_of_rows(world: World) -> object:
    with world.open() as s:
        anna = s.get_one(User, ANNA)
        make_transient(anna)
        del anna.row_version, anna.created_at, anna.updated_at
        anna.id, anna.email = DAN, "dan@example.com"
        s.add(anna)
        s.flush()
        ben = User(id=BEN)
        make_transient_to_detached(ben)
        s.add(ben)
        name = ben.first_name
        s.commit()
        return name, object_session(ben) is s, anna.email


def a_row_of_another_session(world: World) -> object:
    with world.open() as s, world.open() as other:
        anna = s.get_one(User, ANNA)
        refused = raised(lambda: other.add(anna)), raised(lambda: other.delete(anna))
        s.expunge(anna)
        other.add(anna)
        return refused, anna in other


def bulk_objects(world: World) -> object:
    with world.open() as s:
        new = [User(**row) for row in rows()]
        s.bulk_save_objects(new, return_defaults=True)
        s.bulk_save_objects([dan()], preserve_order=False)
        held = new[0] in s, new[0].first_name
        s.commit()
        detached = s.get_one(UserProfile, PROFILE)
        s.expunge(detached)
        detached.city = "Lviv"
        refused = raised(lambda: s.bulk_save_objects([detached]))
        s.rollback()
        return held, refused


def bulk_objects_that_change(world: World) -> object:
    with world.open() as s:
        tree = s.scalars(select(CourseCategory)).all()
        s.expunge_all()
        for each in tree:
            each.description = "New"
        return raised(lambda: s.bulk_save_objects(tree, update_changed_only=True)), raised(s.commit)


def bulk_mappings(world: World) -> object:
    with world.open() as s:
        mapper = inspect(User)
        s.bulk_insert_mappings(mapper, rows()[:2])
        s.bulk_insert_mappings(inspect(OutboxMessage), [{"topic": "t", "payload": {}}])
        s.bulk_insert_mappings(User, rows()[2:], return_defaults=True, render_nulls=True)
        s.commit()
        changes = [{"id": one, "last_name": "Bulk"} for one in IDS]
        refused = raised(lambda: s.bulk_update_mappings(mapper, changes))
        s.rollback()
        tree = [{"id": one, "description": "Bulk", "row_version": 1} for one in (ROOT, MATHS)]
        done = raised(lambda: s.bulk_update_mappings(inspect(CourseCategory), tree))
        s.commit()
        return refused, done


def bulk_with_nothing_to_do(world: World) -> object:
    with world.open() as s:
        s.bulk_save_objects([])
        s.bulk_insert_mappings(inspect(User), [])
        s.bulk_update_mappings(inspect(User), [])
        s.add_all([])
        s.delete_all([])
        s.merge_all([])
        s.flush()
        s.commit()
        return s.in_transaction()


def bulk_mappings_keep_their_callers_rows(world: World) -> object:
    with world.open() as s:
        given = rows()
        s.bulk_insert_mappings(inspect(User), given)
        s.commit()
        return [sorted(row) for row in given]


def orm_insert(world: World) -> object:
    with world.open() as s:
        s.execute(insert(User), rows())
        one = insert(User).values(**{**rows()[0], "id": DAN, "email": "d@example.com"})
        s.execute(one)
        s.commit()
        return names(s.scalars(select(User)))


def orm_insert_with_returning(world: World) -> object:
    with world.open() as s:
        users = s.scalars(insert(User).returning(User, sort_by_parameter_order=True), rows()).all()
        held = [user in s for user in users], [user.first_name for user in users]
        column = s.execute(
            insert(CourseCategory).returning(CourseCategory.slug, CourseCategory.row_version),
            [{"id": one, "slug": f"s{n}", "category_name": f"c{n}"} for n, one in enumerate(IDS)],
        ).all()
        s.commit()
        return held, sorted(map(tuple, column))


def orm_insert_of_several_values(world: World) -> object:
    with world.open() as s:
        found = s.scalars(
            insert(User).values(rows(region="africa")).returning(User.first_name)
        ).all()
        s.rollback()
        return found


def orm_insert_options(world: World) -> object:
    with world.open() as s:
        s.execute(
            insert(User),
            [{**row, "password_hash": None} for row in rows()],
            execution_options={"render_nulls": True},
        )
        raw = s.execute(
            insert(User).execution_options(dml_strategy="raw"),
            {**rows()[0], "id": DAN, "email": "d@example.com"},
        )
        s.commit()
        return type(raw).__name__


def orm_update_by_primary_key(world: World) -> object:
    with world.open() as s:
        # xmin as the version: not possible; see docs.
        changes = [{"id": one, "last_name": "Bulk"} for one in (ANNA, BEN)]
        refused = raised(lambda: s.execute(update(User), changes))
        s.rollback()
        tree = [{"id": one, "description": "Bulk"} for one in (ROOT, MATHS)]
        counted = raised(lambda: s.execute(update(CourseCategory), tree))
        s.rollback()
        return refused, counted


def core_update_of_many(world: World) -> object:
    with world.open() as s:
        table: Any = User.__table__
        statement = update(table).where(table.c.id == bindparam("one")).values(last_name="Core")
        s.execute(statement, [{"one": ANNA}, {"one": BEN}])
        s.connection().execute(statement, [{"one": CARA}])
        s.commit()
        return sorted(s.scalars(select(User.last_name)))


def orm_update_synchronizes(world: World) -> object:
    found: list[object] = []
    strategies: list[Any] = ["auto", "evaluate", "fetch", False]
    for strategy in strategies:
        with world.open() as s:
            users = s.scalars(select(User).order_by(User.first_name)).all()
            changed = update(User).where(User.first_name < "C").values(last_name="New")
            result: Any = s.execute(changed, execution_options={"synchronize_session": strategy})
            found.append((result.rowcount, [user.last_name for user in users]))
            s.rollback()
    return found


def orm_update_with_returning(world: World) -> object:
    with world.open() as s:
        anna = s.get_one(User, ANNA)
        changed = update(User).where(User.id == ANNA).values(last_name="New").returning(User)
        same = s.scalars(changed).one() is anna
        fresh = s.scalars(changed, execution_options={"populate_existing": True}).one().last_name
        s.commit()
        return same, fresh, anna.last_name


def orm_delete_synchronizes(world: World) -> object:
    found: list[object] = []
    strategies: list[Any] = ["auto", "evaluate", "fetch", False]
    for strategy in strategies:
        with world.open() as s:
            ben, anna = s.get_one(User, BEN), s.get_one(User, ANNA)
            result: Any = s.execute(
                delete(User).where(User.first_name == "Ben"),
                execution_options={"synchronize_session": strategy},
            )
            found.append((result.rowcount, ben in s, anna in s, inspect(ben).was_deleted))
            s.rollback()
            found.append((ben in s, ben.first_name))
    with world.open() as s:
        gone = delete(PaymentMethod).where(PaymentMethod.user_id == ANNA)
        found.append(sorted(s.scalars(gone.returning(PaymentMethod.brand)), key=str))
        s.commit()
    return found


def legacy_update_and_delete(world: World) -> object:
    found: list[object] = []
    strategies: list[Any] = ["evaluate", "fetch", False]
    for strategy in strategies:
        with world.open() as s:
            users = s.query(User).order_by(User.first_name).all()
            early = s.query(User).filter(User.first_name < "C")
            count = early.update({"last_name": "New"}, synchronize_session=strategy)
            found.append((count, [user.last_name for user in users]))
            ben = s.query(User).filter_by(first_name="Ben")
            found.append((ben.delete(synchronize_session=strategy), s.query(User).count()))
            s.commit()
            found.append([inspect(user).detached for user in users])
            s.expunge_all()
            s.merge(dan(id=BEN, first_name="Ben", email="ben@example.com"))
            s.commit()
    return found


def upserts(world: World) -> object:
    with world.open() as s:
        anna = s.get_one(User, ANNA)
        statement = upsert(User).on_conflict_do_update(
            index_elements=[User.id], set_={"last_name": "Upserted"}
        )
        values = [{**rows()[0], "id": ANNA, "email": "anna@example.com"}, rows()[1]]
        found = s.scalars(
            statement.returning(User), values, execution_options={"populate_existing": True}
        ).all()
        nothing = s.execute(upsert(User).on_conflict_do_nothing(), rows()[1:2])
        s.commit()
        return anna in found, anna.last_name, len(found), getattr(nothing, "rowcount", None)


def autoflush(world: World) -> object:
    found: list[object] = []
    for options in ({}, {"autoflush": False}):
        with world.open(**options) as s:
            s.get_one(User, ANNA).first_name = "Changed"
            found.append(s.scalars(select(User.first_name).where(User.id == ANNA)).one())
            s.get_one(User, BEN).first_name = "Changed"
            with s.no_autoflush:
                found.append(s.scalar(select(User.first_name).where(User.id == BEN)))
            found.append(
                s.scalars(
                    select(User.first_name).where(User.id == BEN),
                    execution_options={"autoflush": False},
                ).one()
            )
            s.rollback()
    return found


def flush_of_some(world: World) -> object:
    with world.open() as s:
        s.flush()
        s.get_one(User, ANNA).last_name = "New"
        s.add(dan())
        s.flush()
        return s.scalar(select(User.last_name).where(User.id == ANNA)), list(s.new)


def expire_on_commit(world: World) -> object:
    found = []
    for expires in (True, False):
        with world.open(expire_on_commit=expires) as s:
            user = s.get_one(User, ANNA)
            user.last_name = f"New {expires}"
            s.commit()
            found.append(("last_name" in vars(user), user.last_name))
    return found


def sql_values_in_a_flush(world: World) -> object:
    with world.open() as s:
        user = s.get_one(User, ANNA)
        user.last_name = select(User.first_name).where(User.id == BEN).scalar_subquery()
        s.flush()
        return user.last_name


def procedures_and_text(world: World) -> object:
    with world.open() as s:
        s.execute(text("UPDATE users SET last_name = 'Text'"))
        s.execute(text("DO $$ BEGIN UPDATE users SET first_name = 'Block'; END $$"))
        s.connection().exec_driver_sql("UPDATE user_profiles SET city = 'Rome'")
        s.commit()
        return names(s.scalars(select(User))), s.get_one(UserProfile, PROFILE).city


def changes_of_cards(world: World) -> object:
    with world.open() as s:
        anna = s.scalars(
            select(User).where(User.id == ANNA).options(selectinload(User.payment_methods))
        ).one()
        card = next(each for each in anna.payment_methods if each.id == VISA)
        card.brand = "Other"
        new = PaymentMethod(id=IDS[0], method_type=PaymentMethodType.PAYPAL)
        new.id = new_id("europe")
        anna.payment_methods.append(new)
        s.delete(next(each for each in anna.payment_methods if each.id == PAYPAL))
        s.flush()
        s.delete(new)
        s.commit()
        s.refresh(anna, ["payment_methods"])
        return [each.brand for each in anna.payment_methods]


def hooks_of_a_mapper(world: World) -> object:
    heard: list[str] = []

    def before(_: Mapper[User], connection: Connection, user: User) -> None:
        count = connection.scalar(text("SELECT count(*) FROM users"))
        heard.append(f"{user.first_name} {count}")

    event.listen(User, "before_insert", before)
    event.listen(User, "before_update", before)
    try:
        with world.open() as s:
            s.add(dan())
            s.get_one(User, ANNA).last_name = "New"
            s.commit()
    finally:
        event.remove(User, "before_insert", before)
        event.remove(User, "before_update", before)
    return heard
