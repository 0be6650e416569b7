"""The tree of subjects: made, changed, branches moved; see `category_tree` for how it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypedDict, Unpack
from uuid import UUID

from sqlalchemy import (
    select,
    update,
)
from sqlalchemy.orm import Session

from elearning.crud.checks import (
    Check,
    checked,
    checked_slug,
    flush_edit,
    one_uuid,
    refuse_stale,
    refusing,
    slug_of,
    text_of,
)
from elearning.errors import (
    CategoryNotFound,
    CategoryTaken,
    ElearningError,
    InvalidText,
    SlugTaken,
)
from elearning.ids import new_id, region_of
from elearning.models import CourseCategory
from elearning.regions import Region

__all__ = [
    "CategoryChanges",
    "NewCategory",
    "create_category",
    "move_category",
    "update_category",
]

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
    refuse_stale(row, row_version)
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
