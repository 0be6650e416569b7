"""The tree of subjects as it is read from a copy nearby: levels, branches, ways to the root."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import CTE, ColumnElement, Integer, Select, cast, func, literal, select, true
from sqlalchemy.orm import aliased

from elearning.crud.listing import Listing
from elearning.crud.statements import constant
from elearning.errors import CategoryNotFound
from elearning.models import Course, CourseCategory, CourseStatus
from elearning.routing import Reader

__all__ = [
    "CategoryNode",
    "CategoryStep",
    "category_branch",
    "category_breadcrumbs",
    "category_tree",
    "list_categories",
]

MOST_CATEGORIES = 10_000
"""That are read at once."""
_DEEPEST = 100
"""Where reading ends, whatever the rows say."""


@dataclass(frozen=True, slots=True)
class CategoryStep:
    """A category on the way from the root."""

    id: UUID
    category_name: str
    slug: str


@dataclass(frozen=True, slots=True)
class CategoryNode:
    """A category with its branch.

    Attributes:
        id: of the category.
        category_name: its name.
        slug: its name as a part of a URL.
        courses: how many published courses it has, in itself.
        all_courses: how many it has with its whole branch.
        children: the categories right below it, by name.
    """

    id: UUID
    category_name: str
    slug: str
    courses: int
    all_courses: int
    children: Sequence[CategoryNode]


def list_categories(parent_id: UUID | None = None) -> Listing[CourseCategory]:
    """List the categories right below one, or the roots; by idx_course_categories_parent_id.

    Args:
        parent_id: below which one; None: the roots of all regions.
    """
    statement = select(CourseCategory).order_by(CourseCategory.category_name.collate("C"))
    if parent_id is None:
        return Listing(statement.where(CourseCategory.parent_id.is_(None)))
    return Listing(statement.where(CourseCategory.parent_id == parent_id))


def category_breadcrumbs(session: Reader, category_id: UUID) -> Sequence[CategoryStep]:
    """Return the way from the root to a category, with both, in one statement.

    Raises:
        CategoryNotFound: there is no such category on the shard that was asked.
    """
    start = (
        select(
            CourseCategory.id,
            CourseCategory.parent_id,
            CourseCategory.category_name,
            CourseCategory.slug,
            cast(literal(1), Integer).label("depth"),
        )
        .where(CourseCategory.id == category_id)
        .cte("way", recursive=True)
    )
    way = start.union_all(
        select(
            CourseCategory.id,
            CourseCategory.parent_id,
            CourseCategory.category_name,
            CourseCategory.slug,
            start.c.depth + 1,
        )
        .join(start, start.c.parent_id == CourseCategory.id)
        .where(start.c.depth < _DEEPEST)
    )
    rows = session.execute(
        _beside(category_id, way, way.c.id, way.c.category_name, way.c.slug).order_by(
            way.c.depth.desc()
        )
    ).all()
    if not rows:
        raise CategoryNotFound(category_id=category_id)
    return [CategoryStep(*row) for row in rows]


def category_branch(session: Reader, category_id: UUID) -> Sequence[UUID]:
    """Return the ids of a category and all below it, at most 10,000, in one statement.

    Raises:
        CategoryNotFound: there is no such category on the shard that was asked.
    """
    branch = _branch(category_id)
    rows = session.execute(
        _beside(category_id, branch, branch.c.id).order_by(branch.c.depth).limit(MOST_CATEGORIES)
    ).all()
    if not rows:
        raise CategoryNotFound(category_id=category_id)
    return [row.id for row in rows]


def category_tree(session: Reader, root_id: UUID | None = None) -> Sequence[CategoryNode]:
    """Return the tree of categories with their numbers of published courses, in one statement.

    The courses are counted in idx_courses_category_published, without their rows. At most 10,000
    categories are read, those nearest to the root first.

    Args:
        session: any session.
        root_id: the top of the branch that is asked for; None: all trees of all regions.

    Raises:
        CategoryNotFound: there is no such category on the shard that was asked.
    """
    branch = _branch(root_id)
    published = (
        select(Course.category_id, func.count().label("courses"))
        .where(
            Course.status == constant(CourseStatus.PUBLISHED, Course.status),
            Course.category_id.is_not(None),
        )
        .group_by(Course.category_id)
        .subquery()
    )
    number: ColumnElement[Any] = func.coalesce(published.c.courses, 0)
    if root_id is not None:
        # Of one branch each category is looked up; of all, the index is read from end to end.
        number = (
            select(func.count())
            .select_from(Course)
            .where(
                Course.status == constant(CourseStatus.PUBLISHED, Course.status),
                Course.category_id == branch.c.id,
            )
            .correlate(branch)
            .scalar_subquery()
        )
    columns = (branch.c.id, branch.c.parent_id, branch.c.category_name, branch.c.slug, number)
    statement: Select[Any]
    if root_id is None:
        statement = select(*columns).join(
            published, published.c.category_id == branch.c.id, isouter=True
        )
    else:
        statement = _beside(root_id, branch, *columns)
    rows = session.execute(statement.order_by(branch.c.depth).limit(MOST_CATEGORIES)).all()
    if root_id is not None and not rows:
        raise CategoryNotFound(category_id=root_id)
    below: dict[UUID, list[CategoryNode]] = {}
    roots: list[CategoryNode] = []
    # The deepest first: what is below a category is complete when its turn comes.
    for one, parent_id, name, slug, courses in reversed(rows):
        children = sorted(below.pop(one, ()), key=lambda each: each.category_name)
        node = CategoryNode(
            one, name, slug, courses, courses + sum(each.all_courses for each in children), children
        )
        is_root = parent_id is None if root_id is None else one == root_id
        (roots if is_root else below.setdefault(parent_id, [])).append(node)
    return sorted(roots, key=lambda each: each.category_name)


def _branch(root_id: UUID | None) -> CTE:
    """Return a category and all below it, or all there are, with their depth."""
    columns = (
        CourseCategory.id,
        CourseCategory.parent_id,
        CourseCategory.category_name,
        CourseCategory.slug,
    )
    is_root = (
        CourseCategory.parent_id.is_(None) if root_id is None else CourseCategory.id == root_id
    )
    start = (
        select(*columns, cast(literal(1), Integer).label("depth"))
        .where(is_root)
        .cte("branch", recursive=True)
    )
    return start.union_all(
        select(*columns, start.c.depth + 1)
        .join(start, start.c.id == CourseCategory.parent_id)
        .where(start.c.depth < _DEEPEST)
    )


def _beside(category_id: UUID, rows: CTE, *columns: Any) -> Select[Any]:
    """Return a SELECT that names the category's id where the session looks for it."""
    asked = aliased(CourseCategory)
    return select(*columns).select_from(asked).join(rows, true()).where(asked.id == category_id)
