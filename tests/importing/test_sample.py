"""The real data: what is on the shard equals what a few lines read from the files."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from elearning.importing.oulad import import_oulad
from tests.importing.dataset import NOTHING, totals

pytestmark = pytest.mark.unmeasured

STUDENTS = 100
"""The first ones; each makes more than 200 rows of progress."""
CLICKS = """
    SELECT substring(u.email FROM '[0-9]+') AS student, split_part(l.title, ' ', 2) AS site,
           p.time_spent / 60 AS clicks
    FROM lesson_progress AS p
    JOIN enrollments AS e ON e.id = p.enrollment_id
    JOIN users AS u ON u.id = e.user_id
    JOIN course_lessons AS l ON l.id = p.lesson_id
    WHERE p.time_spent <> 0
"""
OUTCOMES = "SELECT status, count(*) FROM enrollments GROUP BY status"
REGIONS = """
    SELECT subdivision, count(*) FROM user_profiles
    WHERE subdivision IS NOT NULL GROUP BY subdivision
"""


@pytest.fixture
def few(oulad_folder: Path, tmp_path: Path) -> Path:
    """Return a folder with all rows of some students."""
    known = {row["id_student"] for row in _read(oulad_folder / "studentInfo.csv")[:STUDENTS]}
    for path in oulad_folder.glob("*.csv*"):
        rows = _read(path)
        kept = [row for row in rows if row.get("id_student") in {None, *known}]
        with (tmp_path / path.name.removesuffix(".gz")).open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(kept)
    return tmp_path


def test_sample_is_on_the_shard_as_in_the_files(shard_engine: Engine, few: Path) -> None:
    courses = _read(few / "courses.csv")
    sites = _read(few / "vle.csv")
    students = _read(few / "studentInfo.csv")
    registered = _read(few / "studentRegistration.csv")
    clicks: Counter[tuple[str, str]] = Counter()
    for row in _read(few / "studentVle.csv"):
        clicks[row["id_student"], row["id_site"]] += int(row["sum_click"])
    expected = {
        "courses": len(courses),
        "modules": len({row["activity_type"] for row in sites}),
        "lessons": len(sites),
        "users": len({row["id_student"] for row in students}),
        "enrollments": len(registered),
        "progress": len(registered) * len(sites),
        "clicks": sum(clicks.values()),
    }

    counts = import_oulad(shard_engine, few)

    assert len(courses) == 1, "the products above hold for one course"
    assert counts.to_dict() == expected
    assert totals(shard_engine) == expected
    with shard_engine.connect() as connection:
        found = connection.execute(text(CLICKS)).all()
        outcomes = {row[0]: row[1] for row in connection.execute(text(OUTCOMES))}
        regions = {row[0]: row[1] for row in connection.execute(text(REGIONS))}
    assert {(row.student, row.site): row.clicks for row in found} == dict(clicks)
    results = Counter(row["final_result"] for row in students)
    assert outcomes == {
        "completed": results["Pass"] + results["Distinction"],
        "expired": results["Fail"],
        "dropped": results["Withdrawn"],
    }
    assert regions == Counter(row["region"] for row in students)
    assert import_oulad(shard_engine, few).to_dict() == NOTHING
    assert totals(shard_engine) == expected


def _read(path: Path) -> list[dict[str, str]]:
    content = path.read_bytes()
    content = gzip.decompress(content) if path.suffix == ".gz" else content
    return list(csv.DictReader(content.decode().splitlines()))
