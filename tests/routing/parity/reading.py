"""Scenarios that read."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    exists,
    func,
    insert,
    lambda_stmt,
    literal_column,
    select,
    text,
    union,
    update,
)
from sqlalchemy.exc import SAWarning
from sqlalchemy.orm import (
    Bundle,
    Query,
    aliased,
    contains_eager,
    defer,
    joinedload,
    lazyload,
    load_only,
    raiseload,
    selectinload,
    subqueryload,
    undefer,
    with_loader_criteria,
)

from elearning.models import CourseCategory, PaymentMethod, User, UserProfile
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


def get(world: World) -> object:
    with world.open() as s:
        anna = s.get(User, ANNA)
        assert anna is not None
        again = s.get(User, ANNA)
        return anna is again, anna.first_name, s.get(User, DAN), s.get_one(User, BEN).first_name


def get_one_of_nobody(world: World) -> object:
    with world.open() as s:
        return raised(lambda: s.get_one(User, DAN))


def get_by_every_form_of_an_id(world: World) -> object:
    with world.open() as s:
        forms: list[Any] = [ANNA, (ANNA,), [ANNA], {"id": ANNA}, str(ANNA)]
        return [getattr(s.get(User, form), "first_name", None) for form in forms], [
            raised(lambda form=form: s.get(User, form))  # type: ignore[misc]
            for form in ((ANNA, BEN), {"key": ANNA}, None)
        ]


def get_with_options(world: World) -> object:
    with world.open() as s:
        user = s.get_one(User, ANNA, options=[selectinload(User.payment_methods)])
        deferred = s.get_one(UserProfile, PROFILE, options=[defer(UserProfile.city)])
        return sorted(str(each.brand) for each in user.payment_methods), "city" in vars(deferred)


def get_with_every_other_argument(world: World) -> object:
    with world.open() as s:
        user = s.get_one(User, ANNA)
        user.first_name = "Changed"
        s.flush()
        s.execute(
            update(User).where(User.id == ANNA).values(last_name="New"),
            execution_options={"synchronize_session": False},
        )
        stale = user.last_name
        fresh = s.get_one(User, ANNA, populate_existing=True).last_name
        s.get_one(User, BEN, with_for_update=True)
        s.get_one(User, BEN, with_for_update={"nowait": True, "key_share": True})
        option = s.get_one(User, CARA, execution_options={"populate_existing": True})
        token = s.get(User, CARA, identity_token="other")
        bound = s.get_one(User, CARA, bind_arguments={"bind": world.engine})
        return stale, fresh, option.first_name, token is None, bound is option


def get_of_a_pending_and_of_a_deleted_row(world: World) -> object:
    with world.open() as s:
        s.add(User(id=DAN, email="dan@example.com", first_name="Dan", last_name="New"))
        pending = s.get_one(User, DAN)
        s.delete(pending)
        before = s.get(User, DAN) is pending
        s.flush()
        return before, s.get(User, DAN)


def get_of_what_is_no_entity(world: World) -> object:
    with world.open() as s:
        return raised(lambda: s.get(int, ANNA)), raised(lambda: s.get(aliased(User), ANNA))


def get_of_a_row_that_is_gone(world: World) -> object:
    with world.open() as s:
        ben = s.get_one(User, BEN)
        with world.open() as other:
            other.delete(other.get_one(User, BEN))
            other.commit()
        held = s.get(User, BEN) is ben
        s.commit()
        return held, s.get(User, BEN), raised(lambda: ben.first_name)


def execute_of_every_result(world: World) -> object:
    with world.open() as s:
        by_name = select(User).order_by(User.first_name)
        columns = select(User.first_name, User.last_name).order_by(User.first_name)
        return (
            [row.User.first_name for row in s.execute(by_name)],
            s.execute(columns).all() == s.execute(columns).fetchall(),
            dict(s.execute(columns).mappings().first() or {}),
            s.execute(columns).keys() == ["first_name", "last_name"],
            [tuple(row) for row in s.execute(columns).fetchmany(2)],
            s.scalar(select(func.count()).select_from(User)),
            s.scalars(by_name).first() is s.scalars(by_name).first(),
            s.scalars(select(User.first_name).order_by(User.first_name)).all(),
            s.execute(columns).scalar(),
            raised(lambda: s.scalars(by_name).one()),
            raised(lambda: s.scalars(by_name.where(User.id == DAN)).one()),
            s.scalars(by_name.where(User.id == DAN)).one_or_none(),
            s.scalar(by_name.where(User.id == DAN)),
            [tuple(row) for row in s.execute(columns).columns("last_name").unique()],
            s.execute(columns).freeze()().all() == s.execute(columns).all(),
        )


def execute_with_parameters(world: World) -> object:
    with world.open() as s:
        one = s.execute(text("SELECT first_name FROM users WHERE id = :id"), {"id": ANNA}).scalar()
        several = s.execute(
            text("UPDATE users SET last_name = :name WHERE id = :id"),
            [{"id": ANNA, "name": "A"}, {"id": BEN, "name": "B"}],
        )
        s.commit()
        return one, getattr(several, "rowcount", None)


def text_with_columns(world: World) -> object:
    with world.open() as s:
        statement = text("SELECT * FROM users ORDER BY first_name").columns(
            User.id, User.first_name
        )
        plain = select(User.id).from_statement(statement)
        entities = select(User).from_statement(
            text("SELECT *, xmin FROM users ORDER BY first_name")
        )
        return len(s.execute(plain).all()), names(s.scalars(entities))


def partitions_and_yield_per(world: World) -> object:
    with world.open() as s:
        by_name = select(User).order_by(User.first_name)
        chunks = [
            names(part) for part in s.scalars(by_name.execution_options(yield_per=2)).partitions()
        ]
        streamed = s.execute(by_name, execution_options={"stream_results": True})
        parts = [len(part) for part in streamed.partitions(2)]
        return chunks, parts, names(s.scalars(by_name).yield_per(1))


def a_stream_that_is_left(world: World) -> object:
    with world.open() as s:
        result = s.scalars(select(User).execution_options(yield_per=1))
        first = next(iter(result)) is not None
        result.close()
        s.get_one(User, ANNA).last_name = "New"
        s.commit()
        return first


def joins_subqueries_and_ctes(world: World) -> object:
    with world.open() as s:
        other = aliased(User)
        cards = select(PaymentMethod.user_id, func.count().label("n")).group_by(
            PaymentMethod.user_id
        )
        counted = cards.subquery()
        cte = select(User.id).where(User.first_name < "C").cte("early")
        tree = (
            select(CourseCategory.id).where(CourseCategory.parent_id.is_(None)).cte(recursive=True)
        )
        tree = tree.union_all(
            select(CourseCategory.id).join(tree, CourseCategory.parent_id == tree.c.id)
        )
        return (
            s.execute(
                select(User.first_name, PaymentMethod.brand)
                .join(User.payment_methods)
                .order_by(PaymentMethod.brand)
            ).all()
            == [("Anna", "PayPal"), ("Anna", "Visa")],
            s.execute(
                select(User.first_name, counted.c.n).join(counted, counted.c.user_id == User.id)
            ).all()
            == [("Anna", 2)],
            len(s.execute(select(User.id, other.id).where(User.id < other.id)).all()),
            names(s.scalars(select(User).where(User.id.in_(select(cte.c.id))))),
            s.scalar(select(func.count()).select_from(tree)),
            sorted(s.scalars(union(select(User.first_name), select(UserProfile.city)))),
            s.scalar(select(exists().where(PaymentMethod.brand == "Visa"))),
            names(
                s.scalars(
                    select(User).where(User.payment_methods.any(PaymentMethod.brand == "Visa"))
                )
            ),
            names(
                s.scalars(
                    select(aliased(User, select(User).where(User.last_name == "Old").subquery()))
                )
            ),
            s.execute(select(Bundle("b", User.first_name, User.last_name)).where(User.id == ANNA))
            .scalar_one()
            .first_name,
            s.scalar(select(literal_column("1 + 1"))),
        )


def a_lambda_statement(world: World) -> object:
    with world.open() as s:
        found = []
        for one in (ANNA, BEN):
            statement = lambda_stmt(lambda: select(User))
            statement += lambda q: q.where(User.id == one)  # noqa: B023 - read at once
            found += names(s.scalars(statement))
        return found


def legacy_query(world: World) -> object:
    with world.open() as s:
        query = s.query(User).order_by(User.first_name)
        return (
            names(query),
            query.count(),
            query.filter_by(first_name="Ben").one().id == BEN,
            query.filter(User.id == DAN).one_or_none(),
            query.offset(1).limit(1).first() is s.query(User).filter(User.id == BEN).scalar(),
            s.query(User.id, User.email).filter(User.id == CARA).one().email,
            s.query(query.exists()).scalar(),
            len(query.slice(0, 2).all()),
            names(query.options(joinedload(User.profile)).populate_existing()),
            names(query.yield_per(2)),
            names(query.with_for_update()),
            query.union(s.query(User)).count(),
            query.execution_options(compiled_cache=None).count(),
            raised(query.one),
        )


def a_query_class_of_ones_own(world: World) -> object:
    class Loud(Query[Any]):
        def shout(self) -> list[str]:
            return [each.first_name.upper() for each in self.order_by(User.first_name)]

    with world.open(query_cls=Loud) as s:
        return s.query(User).shout()  # type: ignore[attr-defined]


def eager_loads(world: World) -> object:
    found: list[object] = []
    for load in (joinedload, selectinload, subqueryload):
        with world.open() as s:
            statement = (
                select(User)
                .order_by(User.first_name)
                .options(load(User.payment_methods), load(User.profile))
            )
            users = s.scalars(statement).unique().all()
            found.append(
                [
                    (
                        sorted(str(each.brand) for each in user.payment_methods),
                        user.profile and user.profile.city,
                    )
                    for user in users
                ]
            )
            children = (
                s.scalars(
                    select(CourseCategory)
                    .where(CourseCategory.parent_id.is_(None))
                    .options(load(CourseCategory.children))
                )
                .unique()
                .one()
                .children
            )
            found.append(sorted(each.slug for each in children))
            parents = (
                s.scalars(
                    select(CourseCategory)
                    .where(CourseCategory.id == MATHS)
                    .options(load(CourseCategory.parent))
                )
                .unique()
                .one()
            )
            found.append(parents.parent and parents.parent.slug)
    with world.open() as s:
        joined = (
            select(User)
            .join(User.payment_methods)
            .options(contains_eager(User.payment_methods))
            .where(PaymentMethod.brand == "Visa")
        )
        found.append([len(user.payment_methods) for user in s.scalars(joined).unique()])
        chained = select(User).options(
            selectinload(User.payment_methods).joinedload(PaymentMethod.user),
            joinedload(User.profile).load_only(UserProfile.city),
        )
        anna = next(user for user in s.scalars(chained) if user.id == ANNA)
        found.append((anna.payment_methods[0].user is anna, "bio" in vars(anna.profile)))
    return found


def lazy_loads(world: World) -> object:
    with world.open() as s:
        user = s.scalars(select(User).where(User.id == ANNA).options(lazyload("*"))).one()
        category = s.scalars(
            select(CourseCategory)
            .where(CourseCategory.id == MATHS)
            .options(lazyload(CourseCategory.parent), lazyload(CourseCategory.children))
        ).one()
        return (
            sorted(str(each.brand) for each in user.payment_methods),
            user.profile and user.profile.city,
            category.parent and category.parent.slug,
            category.children,
        )


def lazy_loads_after_a_write(world: World) -> object:
    with world.open() as s:
        user = s.scalars(select(User).where(User.id == ANNA).options(lazyload("*"))).one()
        s.add(PaymentMethod(id=DAN, user_id=ANNA, method_type="paypal", brand="New"))
        return sorted(str(each.brand) for each in user.payment_methods)


def raise_loads(world: World) -> object:
    with world.open() as s:
        user = s.scalars(select(User).where(User.id == ANNA).options(raiseload("*"))).one()
        card = s.scalars(
            select(PaymentMethod).options(raiseload(PaymentMethod.user, sql_only=True))
        ).first()
        assert card is not None
        return raised(lambda: user.profile), raised(lambda: user.payment_methods), card.user is user


def deferred_columns(world: World) -> object:
    with world.open() as s:
        user = s.scalars(select(User).where(User.id == ANNA).options(load_only(User.email))).one()
        before = "first_name" in vars(user)
        name, after = user.first_name, "first_name" in vars(user)
        barred = s.scalars(
            select(User).where(User.id == BEN).options(defer(User.email, raiseload=True))
        ).one()
        loaded = s.scalars(select(User).where(User.id == CARA).options(undefer(User.email))).one()
        return before, name, after, raised(lambda: barred.email), "email" in vars(loaded)


def loader_criteria(world: World) -> object:
    only = with_loader_criteria(PaymentMethod, PaymentMethod.brand == "Visa")
    with world.open() as s:
        user = s.scalars(
            select(User).where(User.id == ANNA).options(selectinload(User.payment_methods), only)
        ).one()
        return [each.brand for each in user.payment_methods], len(
            s.scalars(select(PaymentMethod).options(only)).all()
        )


def relationship_loading(world: World) -> object:
    with world.open() as s:
        card = PaymentMethod(id=DAN, user_id=ANNA, method_type="paypal")
        s.enable_relationship_loading(card)
        return raised(lambda: card.user), card in s, card in s.new


def refresh(world: World) -> object:
    with world.open() as s:
        user = s.get_one(User, ANNA)
        with world.open() as other:
            other.execute(
                update(User).where(User.id == ANNA).values(first_name="New", last_name="New")
            )
            other.commit()
            if world.routes:
                s.token.merge(other.token)  # type: ignore[attr-defined]
        if world.routes:
            s.commit()  # a unit of work keeps its replica, which may be a moment behind
        else:
            s.commit()
        s.refresh(user, ["first_name"])
        s.refresh(user, with_for_update=True)
        s.refresh(user, ["payment_methods", "profile"])
        return user.first_name, user.last_name, len(user.payment_methods), user.profile is not None


def refresh_of_what_is_not_there(world: World) -> object:
    with world.open() as s:
        new = User(id=DAN, email="dan@example.com", first_name="Dan", last_name="New")
        transient = raised(lambda: s.refresh(new))
        s.add(new)
        pending = raised(lambda: s.refresh(new))
        ben = s.get_one(User, BEN)
        s.execute(text("DELETE FROM users WHERE id = :id"), {"id": BEN})
        return transient, pending, raised(lambda: s.refresh(ben))


def expire(world: World) -> object:
    with world.open() as s:
        user = s.get_one(User, ANNA)
        s.expire(user, ["first_name"])
        part = "first_name" in vars(user), "last_name" in vars(user)
        name = user.first_name
        s.expire(user)
        whole = "last_name" in vars(user)
        user.last_name = "Changed"
        s.expire_all()
        return part, name, whole, user.last_name


def expunge(world: World) -> object:
    with world.open() as s:
        anna, ben = s.get_one(User, ANNA), s.get_one(User, BEN)
        s.expunge(anna)
        anna.first_name = "Nobody sees it"
        s.expunge_all()
        new = User(id=DAN, email="dan@example.com", first_name="Dan", last_name="New")
        s.add(new)
        s.expunge(new)
        s.commit()
        return anna in s, ben in s, new in s, raised(lambda: s.expunge(anna)), ben.first_name


def populate_existing(world: World) -> object:
    with world.open() as s:
        anna = s.get_one(User, ANNA)
        anna.first_name = "Changed"
        with s.no_autoflush:
            s.scalars(select(User).execution_options(populate_existing=True)).all()
        return anna.first_name, anna in s.dirty


def a_read_keeps_what_was_changed(world: World) -> object:
    with world.open(autoflush=False) as s:
        anna = s.get_one(User, ANNA)
        s.execute(update(User).where(User.id == BEN).values(last_name="B"))
        anna.first_name = "Changed"
        s.scalars(select(User)).all()
        return anna.first_name, anna in s.dirty, s.get_one(User, BEN).last_name


def a_read_keeps_what_was_loaded(world: World) -> object:
    with world.open() as s:
        anna = s.scalars(
            select(User)
            .where(User.id == ANNA)
            .options(selectinload(User.payment_methods), joinedload(User.profile))
        ).one()
        s.execute(update(User).where(User.id == BEN).values(last_name="B"))
        s.scalars(select(User)).all()
        s.get_one(PaymentMethod, VISA)
        profile = s.scalars(select(UserProfile).options(joinedload(UserProfile.user))).one()
        return len(anna.payment_methods), anna.profile is profile, profile.user is anna


def sessions_execution_options(world: World) -> object:
    with world.open(execution_options={"populate_existing": True}) as s:
        anna = s.get_one(User, ANNA)
        s.execute(
            update(User).where(User.id == ANNA).values(last_name="New"),
            execution_options={"synchronize_session": False},
        )
        s.scalars(select(User)).all()
        return anna.last_name, dict(s.execution_options)


def options_of_a_connection(world: World) -> object:
    with world.open() as s:
        level = s.connection(
            execution_options={"isolation_level": "REPEATABLE READ"}
        ).get_isolation_level()
        inside = s.scalar(text("SHOW transaction_isolation"))
        count = len(s.scalars(select(User)).all())
        s.commit()
        return level, inside, count, s.scalar(text("SHOW transaction_isolation"))


def options_that_come_too_late(world: World) -> object:
    import warnings  # noqa: PLC0415

    with world.open() as s, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        s.connection()
        s.connection(execution_options={"isolation_level": "SERIALIZABLE"})
        return [issubclass(each.category, SAWarning) for each in caught]


def autocommit_on_a_connection(world: World) -> object:
    with world.open() as s:
        s.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
        s.execute(update(User).where(User.id == ANNA).values(last_name="Kept"))
        s.rollback()
        return s.get_one(User, ANNA).last_name


def sql_expressions(world: World) -> object:
    with world.open() as s:
        s.execute(update(User).where(User.id == ANNA).values(last_name=func.upper(User.last_name)))
        inserted = s.scalar(
            insert(CourseCategory)
            .from_select(
                ["id", "slug", "category_name"],
                select(User.id, User.first_name, User.first_name).where(User.id == CARA),
            )
            .returning(CourseCategory.slug)
        )
        s.commit()
        return inserted, s.get_one(User, ANNA).last_name


def identity_helpers(world: World) -> object:
    with world.open() as s:
        anna = s.get_one(User, ANNA)
        key = s.identity_key(User, ANNA)
        return (
            key == s.identity_key(instance=anna),
            key in s.identity_map,
            s.object_session(anna) is s,
            anna in s,
            list(s) == [anna],
            s.is_modified(anna),
            PAYPAL != ROOT,
        )
