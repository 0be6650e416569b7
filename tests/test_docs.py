from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import elearning

ROOT = Path(__file__).resolve().parents[1]
MODULES = [
    module.name
    for module in pkgutil.walk_packages(elearning.__path__, "elearning.")
    if not module.name.rpartition(".")[2].startswith("_")
]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_reference_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "build.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", MODULES)
def test_public_names_exist_and_are_documented(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    for public in getattr(module, "__all__", ()):
        thing = getattr(module, public)
        if getattr(thing, "__module__", None) == name and callable(thing):
            assert thing.__doc__, public


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8")):
        assert (page.parent / link).exists(), link


def test_each_promise_of_routing_names_a_test_that_there_is() -> None:
    page = (ROOT / "docs" / "routing.md").read_text(encoding="utf-8")
    rows = [
        line for line in page.partition("## What is promised")[2].splitlines() if "`tests/" in line
    ]
    assert len(rows) > 20
    for row in rows:
        path, _, name = row.rsplit("`", 2)[1].partition("::")
        assert (ROOT / path).is_file(), row
        assert not name or f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), row


def test_each_operation_is_listed_with_its_noun_and_its_errors() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    listed = re.findall(r"^\| `([\w.]+)\(", page, re.MULTILINE)
    assert len(listed) == len(set(listed)) > 150
    for package in ("crud", "flows", "documents"):
        module = importlib.import_module(f"elearning.{package}")
        for name in module.__all__:
            if inspect.isfunction(getattr(module, name)):
                assert (name if package == "crud" else f"{package}.{name}") in listed
    assert "| `flows.enroll(platform, user_id, course_id" in sections["enrollments"]
    (row,) = (line for line in sections["reviews"].splitlines() if "`add_review(" in line)
    assert "AlreadyReviewed" in row.split("|")[3]
