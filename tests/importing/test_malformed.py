"""A malformed row is named by file and line, and nothing of its file is loaded."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text

from elearning.errors import MalformedRow
from elearning.importing.oulad import import_oulad
from tests.importing.dataset import FILES, NOTHING, ORDER, TOTALS, Dataset, fingerprint, totals

STEPS = {
    "courses": {"courses"},
    "vle": {"modules", "lessons"},
    "studentInfo": {"users"},
    "studentRegistration": {"enrollments", "progress"},
    "studentVle": {"clicks"},
}
"""What each file brings."""


def refused(engine: Engine, dataset: Dataset) -> tuple[object, object, object]:
    with pytest.raises(MalformedRow) as caught:
        import_oulad(engine, dataset.folder)
    values = caught.value.values
    assert str(caught.value) == f"{values['file']}, line {values['line']}: {values['problem']}"
    return values["file"], values["line"], values["problem"]


@pytest.mark.parametrize("stem", ORDER)
def test_broken_file_leaves_nothing_and_a_fixed_one_completes(
    shard_engine: Engine, dataset: Dataset, stem: str
) -> None:
    middle = len(FILES[stem]) // 2 + 1
    dataset.put(stem, middle, FILES[stem][middle - 1] + ",more")
    columns = FILES[stem][0].count(",") + 1

    problem = f"has {columns + 1} columns, expected {columns}"
    assert refused(shard_engine, dataset) == (f"{stem}.csv", middle, problem)

    done = {what for earlier in ORDER[: ORDER.index(stem)] for what in STEPS[earlier]}
    assert totals(shard_engine) == NOTHING | {what: TOTALS[what] for what in done}
    before = fingerprint(shard_engine)
    refused(shard_engine, dataset)
    assert fingerprint(shard_engine) == before

    dataset.write(stem, FILES[stem])
    counts = import_oulad(shard_engine, dataset.folder).to_dict()
    assert counts == {what: 0 if what in done else TOTALS[what] for what in TOTALS}
    assert totals(shard_engine) == TOTALS


LAST_INFO = ",HE Qualification,10-20%,0-35,0,60,N,Pass"


@pytest.mark.parametrize(
    ("stem", "line", "problem"),
    [
        ("courses", "CCC,2013X,268", "code_presentation: is '2013X', expected a year"),
        ("courses", "CCC,2013B,0", "module_presentation_length: is '0', expected 1 to 3650"),
        ("courses", "AAA,2013J,268", "code_module, code_presentation repeat line 2"),
        ("vle", "x,AAA,2013J,quiz,,", "id_site: is 'x', expected a whole number"),
        ("vle", "9,AAA,2013J,two words,,", "activity_type: is 'two words', expected a word"),
        ("vle", "9,AAA,2013J,quiz,soon,", "week_from: is 'soon', expected a whole number"),
        ("vle", "9,CCC,2013J,quiz,,", "course CCC-2013J is not in courses.csv"),
        (
            "vle",
            "501,AAA,2013J,quiz,,",
            "code_module, code_presentation, id_site repeat line 2",
        ),
        ("studentInfo", f"AAA,2013J,16,X,Wales{LAST_INFO}", "gender: is 'X', expected one of F, M"),
        ("studentInfo", f"AAA,2013J,16,F, {LAST_INFO}", "region: is ' ', expected 1 to 100"),
        ("studentInfo", f"AAA,2013J,0,F,Wales{LAST_INFO}", "id_student: is '0', expected 1 to"),
        ("studentInfo", f"CCC,2013J,16,F,Wales{LAST_INFO}", "course CCC-2013J is not in"),
        ("studentInfo", f"AAA,2013J,11,F,Wales{LAST_INFO}", "id_student repeat line 2"),
        ("studentRegistration", "AAA,2013J,15,,", "student 15 of course AAA-2013J is not in"),
        ("studentRegistration", "AAA,2013J,14,1.5,", "date_registration: is '1.5', expected a"),
        ("studentRegistration", "AAA,2013J,14,99999,", "expected -3650 to 3650"),
        ("studentRegistration", "AAA,2013J,11,1,", "id_student repeat line 2"),
        ("studentVle", "AAA,2013J,15,501,1,1", "student 15 of course AAA-2013J is not in"),
        ("studentVle", "CCC,2013J,11,501,1,1", "student 11 of course CCC-2013J is not in"),
        ("studentVle", "AAA,2013J,11,601,1,1", "site 601 of course AAA-2013J is not in vle.csv"),
        ("studentVle", "AAA,2013J,11,501,,1", "date: is '', expected a whole number"),
        ("studentVle", "AAA,2013J,11,501,1,-1", "sum_click: is '-1', expected 0 to 1000000"),
        ("studentVle", "AAA,2013J,11,501,1,", "sum_click: is '', expected a whole number"),
    ],
)
def test_what_is_malformed(
    shard_engine: Engine, dataset: Dataset, stem: str, line: str, problem: str
) -> None:
    number = dataset.add(stem, line)
    file, at, found = refused(shard_engine, dataset)
    assert (file, at) == (f"{stem}.csv", number)
    assert problem in str(found)


def test_sum_that_does_not_fit_names_the_first_of_its_lines(
    shard_engine: Engine, dataset: Dataset
) -> None:
    dataset.write("studentVle", (*FILES["studentVle"], *["AAA,2013J,14,503,1,1000000"] * 36))
    problem = "the clicks of student 14 on site 503 sum to 36000000, expected at most 35791394"
    line = len(FILES["studentVle"]) + 1
    assert refused(shard_engine, dataset) == ("studentVle.csv", line, problem)
    assert totals(shard_engine)["clicks"] == 0


@pytest.mark.parametrize(
    ("stem", "line"),
    [
        ("courses", "AAA,2013J,268"),
        ("vle", "501,AAA,2013J,quiz,,"),
        ("vle", "9,CCC,2013J,quiz,,"),
        ("studentRegistration", "AAA,2013J,15,,"),
        ("studentVle", "AAA,2013J,15,501,1,1"),
    ],
)
def test_first_malformed_row_is_named(
    shard_engine: Engine, dataset: Dataset, stem: str, line: str
) -> None:
    dataset.write(stem, (*FILES[stem], line, line, line))
    assert refused(shard_engine, dataset)[1] == len(FILES[stem]) + 1


def test_course_of_another_instructor_is_not_touched(
    shard_engine: Engine, dataset: Dataset
) -> None:
    import_oulad(shard_engine, dataset.folder)
    with shard_engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE courses SET instructor_id = (SELECT id FROM users WHERE last_name = '11') "
                "WHERE course_code = 'BBB-2014B'"
            )
        )
    before = fingerprint(shard_engine)
    problem = "the code or slug of BBB-2014B belongs to a course of somebody else"
    assert refused(shard_engine, dataset) == ("courses.csv", 3, problem)
    assert fingerprint(shard_engine) == before
