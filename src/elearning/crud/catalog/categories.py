"""The tree of subjects: made, changed, branches moved; and read from a copy nearby."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack
from uuid import UUID

from sqlalchemy import (
    CTE,
    ColumnElement,
    Integer,
    Select,
    cast,
    func,
    literal,
    select,
    true,
    update,
)
from sqlalchemy.orm import Session, aliased

from elearning.crud.checks import (
    Check,
    checked,
    checked_slug,
    flush_edit,
    one_uuid,
    refusing,
    slug_of,
    text_of,
)
from elearning.crud.listing import Listing
from elearning.crud.statements import constant
from elearning.errors import (
    CategoryNotFound,
    CategoryTaken,
    ElearningError,
    InvalidText,
    SlugTaken,
    StaleEdit,
)
from elearning.ids import new_id, region_of
from elearning.models import Course, CourseCategory, CourseStatus
from elearning.regions import Region
from elearning.routing import Reader

__all__ = [
    "CategoryChanges",
    "CategoryNode",
    "CategoryStep",
    "NewCategory",
    "category_branch",
    "category_breadcrumbs",
    "category_tree",
    "create_category",
    "list_categories",
    "move_category",
    "update_category",
]

MOST_CATEGORIES = 10_000
"""That are read at once."""
_DEEPEST = 100
"""Where reading ends, whatever the rows say."""
_LONGEST = 100

_CHECKS: Mapping[str, Check] = {
    "category_name": text_of(_LONGEST),
    "slug": checked_slug(_LONGEST),
    "description": text_of(10_000, least=0),
}


class CategoryChanges(TypedDict, total=False):
    """What of a category can be changed; see `move_category` for its parent."""

    category_name: str
    slug: str
    description: str


@dataclass(frozen=True, kw_only=True, slots=True)
class NewCategory:
    """A category that is created. Checked when made.

    Attributes:
        category_name: its name.
        parent_id: below which one; its region is the new one's, too.
        region: where a root is at home; None: it is no root.
        slug: the name as a part of a URL; None: it is made of the name.
        description: more about it.

    Raises:
        UnknownRegion, InvalidId, InvalidText: what was wrong.
    """

    category_name: str
    parent_id: UUID | None = None
    region: Region | str | None = None
    slug: str | None = None
    description: str = ""

    def __post_init__(self) -> None:
        if (self.parent_id is None) == (self.region is None):
            raise InvalidText(field="region", problem="is given for a root, which has no parent")
        if self.parent_id is not None:
            one_uuid("parent_id", self.parent_id)
            region = region_of(self.parent_id)
        else:
            region = Region.parse(self.region or "")
        name: str = text_of(_LONGEST)("category_name", self.category_name)
        slug = slug_of(name, most=_LONGEST) if self.slug is None else self.slug
        given = {"category_name": name, "slug": slug, "description": self.description}
        for field, value in checked("category", _CHECKS, given).items():
            object.__setattr__(self, field, value)
        object.__setattr__(self, "region", region)


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


def create_category(session: Session, category: NewCategory) -> CourseCategory:
    """Create a category in its parent's region, or as a root.

    Args:
        session: any session: the parent's id tells the home.
        category: what is created.

    Raises:
        CategoryNotFound: there is no such parent.
        CategoryTaken, SlugTaken: another category of the region has the name or the slug.
    """
    row = CourseCategory(
        id=new_id(category.region or ""),
        parent_id=category.parent_id,
        category_name=category.category_name,
        slug=category.slug,
        description=category.description,
    )
    session.add(row)
    flush_edit(session, row, **_refusals(row))
    return row


def update_category(
    session: Session,
    category_id: UUID,
    *,
    row_version: int | None = None,
    **changes: Unpack[CategoryChanges],
) -> CourseCategory:
    """Rename a category, or change its slug or description. The slug stays with a new name.

    Args:
        session: any session: the category's id tells its home.
        category_id: the category.
        row_version: the version that the change was decided on; None: whichever there is.
        **changes: see `CategoryChanges`.

    Raises:
        UnknownField, InvalidText: a change is wrong.
        CategoryNotFound: there is no such category.
        CategoryTaken, SlugTaken: another category of the region has the name or the slug.
        StaleEdit: somebody else has changed it meanwhile.
    """
    values = checked("category", _CHECKS, changes)
    row = _lock(session, category_id)
    if row_version not in {None, row.row_version}:
        raise StaleEdit(thing="CourseCategory", id=category_id)
    for name, value in values.items():
        setattr(row, name, value)
    flush_edit(session, row, **_refusals(row))
    return row


def move_category(session: Session, category_id: UUID, parent_id: UUID | None) -> CourseCategory:
    """Move a category with its whole branch.

    Args:
        session: any session: the category's id tells its home.
        category_id: the category.
        parent_id: below which one; None: it becomes a root.

    Raises:
        CategoryNotFound: there is no such category, or no such parent.
        CategoryCycle: the parent is in the category's own branch.
        CategoryElsewhere: the parent is at home on another shard.
        IsolationTooHigh: the transaction would not see what others have moved meanwhile.
    """
    # In one statement, without locking the row before: whoever moves branches waits for others
    # before anything else.
    statement = (
        update(CourseCategory)
        .where(CourseCategory.id == category_id)
        .values(
            parent_id=one_uuid("parent_id", parent_id), row_version=CourseCategory.row_version + 1
        )
        .returning(CourseCategory)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    missing = CategoryNotFound(category_id=parent_id)
    with refusing(fk_course_categories_parent_id=missing):
        row = session.scalars(statement).one_or_none()
    if row is None:
        raise CategoryNotFound(category_id=category_id)
    return row


def _lock(session: Session, category_id: UUID) -> CourseCategory:
    row = session.scalars(
        select(CourseCategory)
        .where(CourseCategory.id == category_id)
        .with_for_update(key_share=True)
    ).one_or_none()
    if row is None:
        raise CategoryNotFound(category_id=category_id)
    return row


def _refusals(row: CourseCategory) -> dict[str, ElearningError]:
    region = region_of(row.id)
    return {
        "fk_course_categories_parent_id": CategoryNotFound(category_id=row.parent_id),
        "uq_course_categories_slug": SlugTaken(slug=row.slug, region=region),
        "uq_course_categories_category_name": CategoryTaken(
            category_name=row.category_name, region=region
        ),
    }


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
