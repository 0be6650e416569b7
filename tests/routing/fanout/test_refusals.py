"""What cannot be merged exactly is refused before anything is sent, with the reason."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import (
    Float,
    Integer,
    Numeric,
    String,
    Table,
    bindparam,
    cast,
    column,
    delete,
    distinct,
    exists,
    extract,
    func,
    literal_column,
    select,
    table,
    text,
    true,
    tuple_,
    union,
    update,
)
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import (
    Bundle,
    aliased,
    contains_eager,
    joinedload,
    selectinload,
    subqueryload,
    with_loader_criteria,
)

from elearning.errors import NotMergeable
from elearning.models import (
    Base,
    Course,
    CourseCategory,
    Enrollment,
    OutboxMessage,
    Transaction,
    User,
    UserProfile,
)
from elearning.routing import Engines
from elearning.routing.fanout import fan_out

PEER = aliased(User)
COUNT = func.count()
STRANGER = Table("strangers", type(Base.metadata)())

REFUSED: dict[str, tuple[Any, str]] = {
    # what is asked
    "text": (text("SELECT 1"), "TextClause is no select"),
    "string": ("SELECT 1", "str is no select"),
    "update": (update(User).values(first_name="x"), "Update is no select"),
    "from-statement": (select(User).from_statement(text("SELECT 1")), "is no select"),
    "union": (union(select(User.id), select(Course.id)), "a union is not looked into"),
    "no-table": (select(1), "it reads no table"),
    "for-update": (select(User).with_for_update(), "FOR UPDATE would lock"),
    "inner-for-update": (
        select(User).where(
            select(Enrollment.id).where(Enrollment.user_id == User.id).with_for_update().exists()
        ),
        "FOR UPDATE would lock",
    ),
    "yield-per": (select(User).execution_options(yield_per=10), "yield_per streams"),
    "own-shard": (select(User).execution_options(shard="eu"), "names its own shard"),
    "own-region": (select(User).execution_options(region="asia"), "names its own region"),
    "prefix": (select(User).prefix_with("/* fast */"), "prefixes, suffixes and hints"),
    "suffix": (select(User).suffix_with("/* fast */"), "prefixes, suffixes and hints"),
    "hint": (select(User).with_hint(User, "x"), "prefixes, suffixes and hints"),
    # where rows are
    "bare-product": (select(User.id, Transaction.id), "may be on different shards"),
    "other-join": (
        select(User).join(PEER, PEER.first_name == User.first_name),
        "rows of users and users that belong together may be on different shards",
    ),
    "join-by-inequality": (
        select(User).join(Transaction, Transaction.user_id > User.id),
        "may be on different shards",
    ),
    "join-by-or": (
        select(User).join(Transaction, (Transaction.user_id == User.id) | true()),
        "may be on different shards",
    ),
    "course-and-its-people": (
        select(Course.id).outerjoin(Course.enrollments),
        "rows of courses and enrollments",
    ),
    "subject-and-its-parent's-people": (
        select(CourseCategory.id).outerjoin(User, User.id == CourseCategory.parent_id),
        "rows of course_categories and users",
    ),
    "teacher-of-a-copy": (
        select(Enrollment.id).join(Enrollment.course).join(PEER, PEER.id == Course.instructor_id),
        "may be on different shards",
    ),
    "full-join": (select(User).outerjoin(User.profile, full=True), "a full outer join"),
    "late-tie": (
        # The outer join itself pairs rows of one shard; the tie comes after it.
        select(User.id)
        .outerjoin(UserProfile, UserProfile.country == "DE")
        .where(UserProfile.user_id == User.id),
        "may be on different shards",
    ),
    "subquery": (select(select(User.id).subquery()), "it reads from a subquery"),
    "cte": (select(select(User.id).cte()), "it reads from a cte"),
    "loose-cte": (select(User).add_cte(select(Course.id).cte()), "a CTE would be computed"),
    "writing-cte": (
        select(delete(User).returning(User.id).cte().c.id),
        "it writes; write with a session for each shard",
    ),
    "strange-table": (select(table("users", column("id"))), "no table of elearning.models"),
    "other-table": (select(literal_column("1")).select_from(STRANGER), "no table of elearning"),
    "sample": (
        select(func.count()).select_from(aliased(User, User.__table__.tablesample(5))),
        "it reads from a tablesample",
    ),
    "function-table": (
        select(func.generate_series(1, 2).table_valued("n")),
        "no table of elearning.models",
    ),
    # subqueries
    "loose-exists": (
        select(User).where(exists().where(Transaction.amount_minor > 5)),
        "a subquery may have to see rows of other shards",
    ),
    "loose-scalar": (
        select(User).where(User.created_at > select(func.max(User.created_at)).scalar_subquery()),
        "a subquery may have to see",
    ),
    "loose-column": (
        select(User.id, select(func.count(Course.id)).scalar_subquery()),
        "a subquery may have to see",
    ),
    "uncorrelated": (
        select(User).where(
            select(Enrollment.id).where(Enrollment.user_id == User.id).correlate(None).exists()
        ),
        "a subquery may have to see",
    ),
    "in-with-limit": (
        select(User).where(User.id.in_(select(Enrollment.user_id).limit(5))),
        "a subquery may have to see",
    ),
    "in-of-nullable": (
        select(Course).where(Course.id.not_in(select(Transaction.course_id))),
        "a subquery may have to see",
    ),
    "in-of-nullable-subject": (
        # A course without a subject, on any shard, makes NOT IN unknown.
        select(CourseCategory).where(CourseCategory.id.not_in(select(Course.category_id))),
        "a subquery may have to see",
    ),
    "nullable-in": (
        # NULL NOT IN (nothing) is true, and nothing may be only here.
        select(Transaction).where(
            Transaction.course_id.not_in(select(Course.id).where(Course.rating_sum > 0))
        ),
        "a subquery may have to see",
    ),
    "in-of-optional": (
        select(User.id)
        .outerjoin(User.profile)
        .where(UserProfile.user_id.not_in(select(Enrollment.user_id))),
        "a subquery may have to see",
    ),
    "in-of-several": (
        select(User).where(
            tuple_(User.id, User.created_at).in_(select(Enrollment.user_id, Enrollment.created_at))
        ),
        "a subquery may have to see",
    ),
    "all-people-of-a-course": (
        select(Course).where(Course.enrollments.any()),
        "a subquery may have to see",
    ),
    "inner-union": (
        select(User).where(User.id.in_(union(select(Enrollment.user_id), select(User.id)))),
        "a union inside a statement",
    ),
    "no-inner-table": (
        select(User.id, select(User.created_at).correlate(User).scalar_subquery()),
        "a subquery without a table of its own",
    ),
    "outer-aggregate": (
        select(
            select(func.max(User.created_at))
            .where(Enrollment.user_id == User.id)
            .correlate(User)
            .scalar_subquery()
        ).select_from(User),
        "an aggregate of the outer rows",
    ),
    "inner-cte": (
        select(User).where(User.id.in_(select(select(Enrollment.user_id).cte()))),
        "it reads from a cte",
    ),
    # expressions
    "text-inside": (select(User).where(text("true")), r"text\(\) is not understood"),
    "literal-column": (select(literal_column("xmin"), User.id), "text as a column"),
    "literal-inside": (
        select(User.id).where(literal_column("xmin") == User.id),
        r"literal_column\(\) is not",
    ),
    "text-column": (select(text("count(*)")).select_from(User), "text as a column"),
    "text-columns": (select(text("first_name, last_name")).select_from(User), "text as a column"),
    "star": (select(literal_column("*")).select_from(User), "text as a column"),
    "now": (select(User).where(User.created_at < func.now()), "each server has a clock"),
    "random": (select(User).order_by(func.random()), r"random\(\) is not known"),
    "packaged": (select(func.pg_catalog.abs(1), User.id), r"pg_catalog.abs\(\) is not known"),
    "date-trunc": (
        select(func.date_trunc("day", User.created_at), User.id),
        r"date_trunc.* depends on each server's time zone",
    ),
    "extract": (select(extract("hour", User.created_at), User.id), "time zone"),
    "cast-of-time": (select(cast(User.created_at, String), User.id), "time zone"),
    "time-as-text": (select(func.concat(User.created_at, ""), User.id), "time zone"),
    "naive-time": (
        select(User).where(User.created_at > datetime(2024, 1, 1)),  # noqa: DTZ001
        "depends on each server's time zone",
    ),
    "date-for-time": (
        select(User).where(User.created_at.in_([date(2024, 1, 1)])),
        "depends on each server's time zone",
    ),
    "between-dates": (
        select(User).where(User.created_at.between(date(2024, 1, 1), date(2024, 1, 2))),
        "depends on each server's time zone",
    ),
    "days-later": (
        select(User).where(User.created_at + timedelta(days=1) > User.last_login),
        "depends on each server's time zone",
    ),
    # order and limits
    "order-by-text": (select(User).order_by(User.email), "ORDER BY of a text"),
    "order-by-collation": (
        select(User).order_by(User.email.collate("de_DE")),
        "ORDER BY of a text",
    ),
    "order-by-enum": (select(User).order_by(User.status), "ORDER BY of a text"),
    "order-by-lie": (
        select(User).order_by(func.lower(User.email, type_=String(collation="C"))),
        "ORDER BY of a text",
    ),
    "order-by-json": (select(OutboxMessage).order_by(OutboxMessage.payload), "JSON"),
    "order-by-unknown": (select(User).order_by(func.length(User.email)), "NullType"),
    "order-by-position": (select(User.id).order_by(literal_column("1")), "NullType"),
    "order-by-name": (select(User.id).order_by("email"), "names nothing that it selects"),
    "order-by-other-table": (
        select(User.id).order_by(Transaction.amount_minor),
        "reads a table that FROM does not",
    ),
    "group-by-other-table": (
        select(COUNT).select_from(User).group_by(Transaction.currency),
        "reads a table that FROM does not",
    ),
    "group-of-bookkeeping": (
        select(OutboxMessage.topic, COUNT).group_by(OutboxMessage.id),
        "outbox.topic may differ inside a group",
    ),
    "not-grouped-filter": (
        select(func.count().filter(User.status == "x") + 1),
        "a value computed from aggregates",
    ),
    "bundle-of-aggregates": (
        select(Bundle("all", func.count(User.id))),
        "a Bundle is taken for a part of plain rows only",
    ),
    "distinct-bundle": (
        select(Bundle("names", User.first_name)).distinct(),
        "a Bundle is taken for a part of plain rows only",
    ),
    "bundle-of-chance": (select(Bundle("x", func.random(), User.id)), r"random\(\) is not known"),
    "inner-text": (
        select(
            select(text("(SELECT count(*) FROM users)"))
            .where(Enrollment.user_id == User.id)
            .scalar_subquery()
        ).select_from(User),
        r"text\(\) is not understood",
    ),
    "fetch": (select(User).order_by(User.id).fetch(5, with_ties=True), "FETCH may ask for ties"),
    "computed-limit": (select(User).limit(literal_column("1 + 1")), "limit is no number"),
    "limit-of-text": (select(User).limit(bindparam("n", value="x", type_=Integer)), "no number"),
    # aggregates
    "sum-of-float": (
        select(func.sum(cast(Transaction.amount_minor, Float))),
        "floating point numbers depends on the order",
    ),
    "avg-of-float": (
        select(func.avg(cast(Transaction.amount_minor, Numeric(asdecimal=False)))),
        "floating point numbers depends on the order",
    ),
    "sum-of-unknown": (select(func.sum(func.length(User.email))), "is not known to be exact"),
    "min-of-text": (select(func.min(User.email)), r"min\(\) of a text"),
    "max-of-json": (select(func.max(OutboxMessage.payload)), "JSON"),
    "count-distinct": (select(func.count(User.first_name.distinct())), r"count\(DISTINCT …\)"),
    "count-distinct-courses": (
        select(func.count(distinct(Enrollment.course_id))),
        r"count\(DISTINCT …\)",
    ),
    "sum-distinct": (select(func.sum(Transaction.amount_minor.distinct())), r"sum\(DISTINCT …\)"),
    "array-agg": (select(func.array_agg(User.id)), r"array_agg\(\) needs all rows of a group"),
    "string-agg": (
        select(func.string_agg(User.email, ",")),
        r"string_agg\(\) needs all rows",
    ),
    "median": (
        select(func.percentile_cont(0.5).within_group(Transaction.amount_minor)),
        "WITHIN GROUP needs all rows",
    ),
    "stddev": (select(func.stddev(Transaction.amount_minor)), r"stddev\(\) needs all rows"),
    "computed": (select(COUNT + 1).select_from(User), "a value computed from aggregates"),
    "coalesced": (
        select(func.coalesce(func.sum(Transaction.amount_minor), 0)),
        r"a value computed from aggregates \(coalesce\(\)\)",
    ),
    "ordered-by-computed": (
        select(User.status, COUNT).group_by(User.status).order_by(COUNT * 2),
        "a value computed from aggregates",
    ),
    "not-grouped": (
        select(User.status, User.first_name, COUNT).group_by(User.status),
        "users.first_name may differ inside a group",
    ),
    "entity-not-grouped": (select(User, COUNT).group_by(User.status), "may differ inside a group"),
    "filtered-computed": (
        select(func.sum(User.created_at).filter(User.status == "active")),
        "is not known to be exact",
    ),
    "having": (
        select(User.status, COUNT).group_by(User.status).having(COUNT > 1),
        "HAVING would see the groups of one shard",
    ),
    "group-by-name": (select(User.id).group_by("email"), "names nothing that it selects"),
    "group-by-json": (
        select(COUNT).select_from(OutboxMessage).group_by(OutboxMessage.payload),
        "GROUP BY of the type JSONB",
    ),
    "group-by-optional-owner": (
        # Users without a profile are one group, over all shards.
        select(UserProfile.user_id, func.array_agg(User.id))
        .select_from(User)
        .outerjoin(User.profile)
        .group_by(UserProfile.user_id),
        r"array_agg\(\) needs all rows",
    ),
    # distinct and windows
    "distinct-groups": (
        select(User.status, COUNT).group_by(User.status).distinct(),
        "DISTINCT of groups",
    ),
    "distinct-on": (
        select(User).ext(distinct_on(User.first_name)),
        "DISTINCT ON and other extensions",
    ),
    "distinct-json": (select(OutboxMessage.payload).distinct(), "DISTINCT of the type JSONB"),
    "distinct-order": (
        select(User.first_name).distinct().order_by(User.created_at),
        "orders by what it selects only",
    ),
    "window": (
        select(User.id, func.row_number().over(order_by=User.id)),
        "a window would see the rows of one shard",
    ),
    "window-in-order": (
        select(User.id).order_by(func.rank(type_=Integer).over(partition_by=User.status)),
        "a window would see the rows of one shard",
    ),
    # options
    "people-of-courses": (
        select(Course).options(selectinload(Course.enrollments)),
        "Course.enrollments would be loaded without the rows of other shards",
    ),
    "teacher-of-a-copy-loaded": (
        select(Enrollment).options(selectinload(Enrollment.course).selectinload(Course.instructor)),
        "Course.instructor would be loaded without",
    ),
    "joined-collection": (
        select(User).options(joinedload(User.enrollments)),
        "is loaded by a join, which repeats rows",
    ),
    "contained-collection": (
        select(User).join(User.enrollments).options(contains_eager(User.enrollments)),
        "is loaded by a join, which repeats rows",
    ),
    "narrowed-option": (
        select(User).options(selectinload(User.enrollments.and_(Enrollment.total_lessons > 1))),
        r"a loader option with and_\(\)",
    ),
    "criteria": (
        select(User).options(with_loader_criteria(User, User.status == "active")),
        "LoaderCriteriaOption is not looked into",
    ),
    "everything": (select(User).options(subqueryload("*")), "is not looked into"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
def test_what_is_not_exact_is_refused(engines: Engines, name: str) -> None:
    statement, reason = REFUSED[name]
    with pytest.raises(NotMergeable, match=reason):
        fan_out(engines, statement)
