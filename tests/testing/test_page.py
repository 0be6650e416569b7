"""Every example of docs/testing.md, run as it stands there."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "testing.md"
FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in FENCE.findall(PAGE.read_text("utf-8")):
        names: dict[str, Any] = {}
        exec(compile(text, PAGE, "exec"), names)  # noqa: S102 - our own page
        found |= {name: value for name, value in names.items() if name.startswith("test_")}
    return found


EXAMPLES = examples()


def test_each_part_has_its_example() -> None:
    assert len(EXAMPLES) == 6


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs(name: str, request: pytest.FixtureRequest) -> None:
    example = EXAMPLES[name]
    fixtures = inspect.signature(example).parameters
    example(**{fixture: request.getfixturevalue(fixture) for fixture in fixtures})
