"""Scenarios of the methods that `AsyncSession` has itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from sqlalchemy import delete, event, func, insert, inspect, select, text, update
from sqlalchemy.ext.asyncio import (
    AsyncAttrs,
    AsyncSession,
    async_object_session,
    async_scoped_session,
    async_session,
    async_sessionmaker,
    close_all_sessions,
)
from sqlalchemy.orm import Session, lazyload, selectinload

from elearning.models import CourseCategory, PaymentMethod, User
from tests.routing.parity.world import ANNA, BEN, CARA, DAN, World, names
from tests.routing.parity.writing import dan, rows


async def raised(call: Awaitable[object]) -> str:
    """Return the name of the error that a call raises."""
    try:
        await call
    except Exception as error:  # noqa: BLE001 - any
        return type(error).__name__
    return "nothing"


async def rename(s: AsyncSession, name: str = "New") -> None:
    await s.execute(update(User).where(User.id == ANNA).values(last_name=name))


async def name_of(s: AsyncSession) -> str | None:
    return await s.scalar(select(User.last_name).where(User.id == ANNA))


async def gets(world: World) -> object:
    async with world.open_async() as s:
        anna = await s.get_one(User, ANNA)
        return (
            await s.get(User, ANNA) is anna,
            await s.get(User, DAN),
            await raised(s.get_one(User, DAN)),
            len(
                (
                    await s.get_one(
                        User,
                        ANNA,
                        options=[selectinload(User.payment_methods)],
                        populate_existing=True,
                    )
                ).payment_methods
            ),
            (await s.get_one(User, (BEN,), with_for_update=True)).first_name,
            (await s.get_one(User, {"id": CARA})).first_name,
        )


async def executes(world: World) -> object:
    async with world.open_async() as s:
        by_name = select(User).order_by(User.first_name)
        return (
            [row.User.first_name for row in await s.execute(by_name)],
            names(await s.scalars(by_name)),
            await s.scalar(select(func.count()).select_from(User)),
            await s.scalar(text("SELECT first_name FROM users WHERE id = :id"), {"id": BEN}),
            await raised(s.execute(text("SELECT nonsense"))),
        )


async def streams(world: World) -> object:
    async with world.open_async() as s:
        by_name = select(User).order_by(User.first_name)
        rows = [row.User.first_name async for row in await s.stream(by_name)]
        one_by_one = [user.first_name async for user in await s.stream_scalars(by_name)]
        parts = [
            names(part)
            async for part in (
                await s.stream_scalars(by_name.execution_options(yield_per=2))
            ).partitions()
        ]
        all_at_once = names(await (await s.stream_scalars(by_name)).all())
        first = await (await s.stream_scalars(by_name)).first()
        result = await s.stream(by_name)
        fetched = len(await result.fetchmany(2))
        await result.close()
        return rows, one_by_one, parts, all_at_once, first and first.first_name, fetched


async def streams_after_a_write(world: World) -> object:
    async with world.open_async() as s:
        await rename(s)
        found = [name async for name in await s.stream_scalars(select(User.last_name))]
        await s.rollback()
        return sorted(found)


async def writes(world: World) -> object:
    async with world.open_async() as s:
        s.add(dan())
        s.add_all([CourseCategory(id=DAN, slug="new", category_name="new")])
        await s.flush()
        anna = await s.get_one(User, ANNA)
        anna.last_name = "New"
        dirty = anna in s.dirty, s.is_modified(anna), anna in s, list(s.new), list(s.deleted)
        await s.delete(await s.get_one(User, BEN))
        await s.delete_all((await s.scalars(select(PaymentMethod))).all())
        await s.commit()
        expired = "last_name" in vars(anna)
        await s.refresh(anna)
        await s.refresh(anna, with_for_update=True)
        await s.refresh(anna, ["payment_methods"])
        return dirty, expired, anna.last_name, anna.payment_methods


async def merges(world: World) -> object:
    async with world.open_async(expire_on_commit=False) as s:
        merged = await s.merge(User(id=ANNA, last_name="Merged"))
        several = await s.merge_all([User(id=BEN, last_name="Merged"), dan()])
        await s.commit()
        return merged.first_name, names(several)


async def core_writes(world: World) -> object:
    async with world.open_async() as s:
        await s.execute(insert(User), rows())
        found = await s.scalars(
            insert(User).returning(User), [dict(rows()[0], id=DAN, email="d@e")]
        )
        new = found.one()
        await s.execute(delete(User).where(User.id == BEN))
        await s.commit()
        return inspect(new).persistent, await name_of(s)


async def transactions(world: World) -> object:
    async with world.open_async() as s:
        async with s.begin() as transaction:
            await rename(s)
            states = [s.in_transaction(), transaction.is_active, s.in_nested_transaction()]
            async with s.begin_nested() as nested:
                await rename(s, "Lost")
                states += [s.get_nested_transaction() is nested, s.in_nested_transaction()]
                await nested.rollback()
        first = await name_of(s)
        states += [s.get_transaction() is not None, s.is_active]
        await s.rollback()
        with suppress(LookupError):
            async with s.begin():
                await rename(s, "Lost")
                raise LookupError
        await rename(s, "Kept")
        savepoint = await s.begin_nested()
        await rename(s, "Lost")
        await savepoint.rollback()
        await s.commit()
        return states, first, await name_of(s)


async def savepoint_after_a_read(world: World) -> object:
    async with world.open_async() as s:
        anna = await s.get_one(User, ANNA)
        async with s.begin_nested():
            anna.last_name = "New"
        await s.commit()
        return await name_of(s)


async def errors(world: World) -> object:
    async with world.open_async() as s:
        s.add(dan(email="anna@example.com"))
        found = [await raised(s.commit()), await raised(name_of(s))]
        await s.rollback()
        found += [await raised(s.refresh(dan())), await raised(s.delete(dan()))]
        found += [await raised(s.merge(None)), await raised(s.execute(None))]  # type: ignore[call-overload]
        anna = (await s.scalars(select(User).where(User.id == ANNA).options(lazyload("*")))).one()

        async def lazy() -> object:
            return anna.payment_methods

        # No I/O by an attribute, outside of run_sync.
        return [*found, await raised(lazy())]


async def connections(world: World) -> object:
    async with world.open_async() as s:
        connection = await s.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        level = await connection.get_isolation_level()
        await connection.execute(update(User).values(last_name="New"))
        inside = await name_of(s)
        await s.rollback()
        return level, inside, connection.closed, await name_of(s)


async def in_run_sync(world: World) -> object:
    def work(sync: Session, name: str) -> object:
        anna = sync.scalars(select(User).where(User.id == ANNA).options(lazyload("*"))).one()
        anna.last_name = name
        sync.flush()
        return len(anna.payment_methods), sync.query(User).count()

    async with world.open_async() as s:
        found = await s.run_sync(work, "New")
        await s.commit()
        return found


async def joined_to_a_connection(world: World) -> object:
    async with world.async_engine.connect() as connection:
        outer = await connection.begin()
        async with world.open_async(bind=connection, join_transaction_mode="create_savepoint") as s:
            await rename(s, "One")
            await s.commit()
            await rename(s, "Two")
            await s.rollback()
            found = await name_of(s)
        await outer.rollback()
        return found


async def ends(world: World) -> object:
    s = world.open_async(close_resets_only=False)
    anna = await s.get_one(User, ANNA)
    s.expunge(anna)
    await rename(s)
    await s.reset()
    first = await name_of(s)
    await rename(s)
    s.expire_all()
    s.expunge_all()
    await s.close()
    after = await raised(name_of(s))
    other = world.open_async()
    await rename(other)
    await other.invalidate()
    again = await name_of(other)
    await other.aclose()
    async with world.open_async() as last:
        found = await name_of(last)
    await close_all_sessions()
    return first, again, after, found


async def binds(world: World) -> object:
    async with world.open_async(bind=None, binds={User: world.async_engine}) as s:
        s.bind_mapper(PaymentMethod, world.async_engine)
        s.bind_table(CourseCategory.__table__, world.async_engine)  # type: ignore[arg-type]
        bind = s.get_async_bind(User)
        return (
            await name_of(s),
            len((await s.scalars(select(PaymentMethod))).all()),
            len((await s.scalars(select(CourseCategory))).all()),
            bind is world.async_engine or bind.sync_engine is world.engine,
        )


async def helpers(world: World) -> object:
    async with world.open_async(info={"a": 1}, autoflush=False) as s:
        anna = await s.get_one(User, ANNA)
        with s.no_autoflush:
            found = await name_of(s)
        key = s.identity_key(instance=anna)
        bind: Any = s.get_bind(User)
        return (
            s.object_session(anna) is s.sync_session,
            async_object_session(anna) is s,
            async_session(s.sync_session) is s,
            key in s.identity_map,
            [each is anna for each in s],
            s.info,
            s.autoflush,
            found,
            bind is world.engine,
            (await s.connection()).engine.sync_engine is world.engine,
        )


async def attributes_that_are_awaited(world: World) -> object:
    # A mixin of SQLAlchemy's; asked for by name, so that the models need not have it.
    awaitable: Callable[[Any], Any] = AsyncAttrs.awaitable_attrs.fget  # type: ignore[attr-defined]
    async with world.open_async() as s:
        anna = (await s.scalars(select(User).where(User.id == ANNA).options(lazyload("*")))).one()
        return len(await awaitable(anna).payment_methods)


async def makers(world: World) -> object:
    maker = async_sessionmaker(**world.async_maker_options, expire_on_commit=False)
    async with maker.begin() as s:
        await rename(s)
        s.add(dan())
    async with maker(autoflush=False) as s:
        states = s.autoflush, s.sync_session.expire_on_commit
        found = await name_of(s)
    scoped = async_scoped_session(maker, scopefunc=lambda: 1)
    scoped.add(CourseCategory(id=DAN, slug="new", category_name="new"))
    await scoped.commit()
    count = await scoped.scalar(select(func.count()).select_from(CourseCategory))
    await scoped.remove()
    return states, found, count


async def events(world: World) -> object:
    heard: list[str] = []
    async with world.open_async() as s:
        world.watch(s.sync_session)

        def before_commit(session: Session) -> None:
            session.execute(update(User).where(User.id == BEN).values(last_name="Event"))
            heard.append("commit")

        event.listen(s.sync_session, "before_commit", before_commit)
        anna = await s.get_one(User, ANNA)
        anna.last_name = "New"
        await s.commit()
        await s.refresh(anna)
        await s.delete(anna)
        await s.rollback()
        return heard
