"""The list of all operations, by noun, as docs/operations.md has it: written by ``make docs``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from elearning import crud, documents, flows

TARGET = Path(__file__).with_name("operations.md")
_BEGINNING = """\
# What can be asked

Written by `make docs` from the code: every operation, by noun.

Those of `elearning.crud` take a session and run on one shard in one transaction, synchronously or
by `await session.run_sync(operation, …)`; they never commit. Those of `elearning.flows` take a
`Platform`, are asynchronous, and do what needs several shards, MongoDB or a process of their own.
Those of `elearning.documents` are asynchronous. No operation asks for a region where an id tells
it.

What lists something gives a `Listing`: `.page(session, size=…, after=…)` reads one shard,
`.everywhere(engines, …)` and `await ….everywhere_async(engines, …)` all of them. Pages are begun
after the last row of the one before: the hundredth costs what the first costs. Results become
dictionaries and JSON by `to_dict` ([plain.md](plain.md)).
"""


class Noun(NamedTuple):
    """Some modules that are about one thing."""

    name: str
    page: str
    modules: tuple[str, ...]


NOUNS = (
    Noun(
        "accounts",
        "users.md",
        (
            "flows.registration",
            "crud.accounts.users",
            "crud.accounts.profiles",
            "crud.accounts.user_changes",
            "crud.accounts.user_lists",
        ),
    ),
    Noun(
        "login",
        "users.md",
        ("flows.authentication", "crud.accounts.passwords", "crud.accounts.user_tokens"),
    ),
    Noun("courses", "editing.md", ("crud.catalog.courses", "crud.catalog.course_editing")),
    Noun(
        "curriculum",
        "editing.md",
        ("crud.catalog.curriculum", "crud.catalog.modules", "crud.catalog.lessons"),
    ),
    Noun("categories", "editing.md", ("crud.catalog.categories", "crud.catalog.category_tree")),
    Noun("prerequisites", "editing.md", ("flows.prerequisites", "crud.catalog.prerequisites")),
    Noun("search", "search.md", ("crud.catalog.course_search", "crud.catalog.course_lists")),
    Noun(
        "enrollments",
        "learning.md",
        (
            "flows.enrollment",
            "flows.waitlist",
            "crud.seats.enrollments",
            "crud.seats.enrollment_lists",
            "crud.seats.waitlist",
        ),
    ),
    Noun(
        "learning",
        "learning.md",
        (
            "flows.progress",
            "crud.learning.progress",
            "crud.learning.lesson_visits",
            "crud.learning.course_progress",
            "crud.learning.quiz_attempts",
        ),
    ),
    Noun("certificates", "learning.md", ("flows.certificates", "crud.learning.certificates")),
    Noun(
        "reviews",
        "reviews.md",
        ("crud.reviews.reviews", "crud.reviews.review_reports", "crud.reviews.review_lists"),
    ),
    Noun(
        "payments",
        "payments.md",
        ("flows.purchase", "crud.payments.payments", "crud.payments.payment_lists"),
    ),
    Noun("payment methods", "payments.md", ("crud.payments.payment_methods",)),
    Noun("statistics", "statistics.md", ("flows.statistics", "crud.statistics")),
    Noun("content", "documents.md", ("documents.contents", "documents.content_lists")),
    Noun("preferences", "documents.md", ("documents.preferences",)),
    Noun("claims", "claims.md", ("crud.seats.claims",)),
    Noun("background work", "claims.md", ("flows.recovery", "flows.relay", "documents.client")),
)


class Operation(NamedTuple):
    """A public function."""

    name: str
    module: str
    run: Callable[..., Any]


def operations() -> Iterator[Operation]:
    """Yield the public functions of the packages that an application calls."""
    for package in (flows, crud, documents):
        place = package.__name__.removeprefix("elearning.")
        for name in package.__all__:
            thing = getattr(package, name)
            if inspect.isfunction(thing):
                own = name if package is crud else f"{place}.{name}"
                yield Operation(own, thing.__module__.removeprefix("elearning."), thing)


def operations_page() -> str:
    """Return the whole page.

    Raises:
        LookupError: an operation belongs to no noun.
    """
    left = list(operations())
    lines = [_BEGINNING]
    for noun in NOUNS:
        here = [each for each in left if _noun_has(noun, each.module)]
        left = [each for each in left if each not in here]
        lines += [f"## {noun.name}", "", f"More: [{noun.page}]({noun.page})", ""]
        lines += ["| operation | | errors |", "|---|---|---|"]
        lines += map(_row, here)
        lines.append("")
    if left:
        message = f"docs/operations.py has no noun for {', '.join(each.name for each in left)}"
        raise LookupError(message)
    return "\n".join(lines)


def _noun_has(noun: Noun, module: str) -> bool:
    return any(module == each or module.startswith(f"{each}.") for each in noun.modules)


def _row(operation: Operation) -> str:
    return f"| `{_call(operation)}` | {_summary(operation.run)} | {_errors(operation.run)} |"


def _call(operation: Operation) -> str:
    parts, starred = [], False
    for each in inspect.signature(operation.run).parameters.values():
        if each.kind is each.KEYWORD_ONLY and not starred:
            parts.append("*")
            starred = True
        mark = {each.VAR_POSITIONAL: "*", each.VAR_KEYWORD: "**"}.get(each.kind, "")
        parts.append(mark + each.name + ("" if each.default is each.empty else "=…"))
    return f"{operation.name}({', '.join(parts)})"


def _summary(run: Callable[..., Any]) -> str:
    text = (inspect.getdoc(run) or "").split("\n\n", 1)[0]
    return " ".join(text.split()).replace("|", "\\|")


def _errors(run: Callable[..., Any]) -> str:
    _, _, raised = (inspect.getdoc(run) or "").partition("Raises:\n")
    found = re.findall(r"^    (\w+(?:, \w+)*):", raised, re.MULTILINE)
    return ", ".join(found)
