"""Parsers of fields and rows: a value, or an error that names the column."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elearning.errors import InvalidText
from elearning.importing.fields import Value, label, matching, one_of, optional, whole
from elearning.importing.oulad_files import CLICKS, FILES, REGISTRATIONS, STUDENTS, File
from tests.importing import dataset

numbers = st.integers(-(10**9), 10**9)


@given(numbers, st.sampled_from(["", ".0", ".00"]))
def test_whole_number_is_read(number: int, tail: str) -> None:
    assert whole(number, number)(f"{number}{tail}") == number


@given(numbers, st.integers(1, 10**9))
def test_number_out_of_range_is_refused(number: int, distance: int) -> None:
    with pytest.raises(InvalidText, match=f"expected {number} to {number}"):
        whole(number, number)(str(number + distance))
    with pytest.raises(InvalidText, match=f"expected {number} to {number}"):
        whole(number, number)(str(number - distance))


@pytest.mark.parametrize(
    "text",
    [
        "",
        " 1",
        "1 ",
        "+1",
        "1_0",
        "1.5",
        "1.",
        "1e3",
        "0x1",
        "nan",
        "--1",
        "\u0661",
        "\uff11",
        "1\n",
    ],
)
def test_what_is_no_whole_number(text: str) -> None:
    with pytest.raises(InvalidText, match="expected a whole number"):
        whole(-10, 1_000)(text)


@pytest.mark.parametrize("text", ["", " ", "\u00a0", "a\tb", "a\nb", "\x00", "\u200b", "a" * 6])
def test_what_is_no_label(text: str) -> None:
    with pytest.raises(InvalidText, match="expected 1 to 5 printable characters"):
        label(5)(text)


def test_long_text_is_cut_in_the_message() -> None:
    for parse in (whole(1, 2), one_of("a"), matching("a", "an a"), label(5)):
        with pytest.raises(InvalidText) as caught:
            parse("x" * 10_000)
        assert len(str(caught.value)) < 100


@given(st.text())
def test_any_text_is_a_value_or_refused(text: str) -> None:
    parsers = [whole(-9, 9), one_of("a", "b"), matching("[a-z]+", "a word"), label(5)]
    for parse in [*parsers, *map(optional, parsers)]:
        try:
            value = parse(text)
        except InvalidText as error:
            assert len(str(error)) < 600  # noqa: PT017 - either way is right
        else:
            assert value in {None, text} or value == float(text)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
@given(data=st.data())
def test_any_row_is_parsed_or_names_a_column(file: File, data: st.DataObject) -> None:
    good = data.draw(st.sampled_from(dataset.FILES[file.stem][1:])).split(",")
    place = data.draw(st.integers(0, len(good) - 1))
    row = [*good[:place], data.draw(st.text()), *good[place + 1 :]]
    try:
        values = file.parse(row)
    except InvalidText as error:
        assert error.values["field"] == file.header[place]  # noqa: PT017 - either way is right
    else:
        assert len(values) == len(file.kept)


@given(
    st.integers(1, 2**31 - 1),
    st.integers(1, 2**31 - 1),
    st.integers(-3650, 3650),
    st.integers(0, 1_000_000),
)
def test_good_clicks_are_parsed(student: int, site: int, day: int, clicks: int) -> None:
    row = ["AAA", "2013J", str(student), str(site), str(day), str(clicks)]
    assert CLICKS.parse(row) == ["AAA", "2013J", student, site, clicks]


@pytest.mark.parametrize(
    ("registered", "left", "expected"),
    [
        ("-159.0", "", [-159, None]),
        ("", "12", [None, 12]),
        ("?", "?", [None, None]),
    ],
)
def test_days_of_a_registration(registered: str, left: str, expected: list[Value]) -> None:
    row = ["AAA", "2013J", "11", registered, left]
    assert REGISTRATIONS.parse(row) == ["AAA", "2013J", 11, *expected]


@pytest.mark.parametrize("band", ["", "?", "10-20", "10-20%", "90-100%", "0-10%"])
def test_bands_of_the_real_data(band: str) -> None:
    row = f"AAA,2013J,11,M,Wales,HE Qualification,{band},0-35,0,60,N,Pass".split(",")
    assert STUDENTS.parse(row) == ["AAA", "2013J", 11, "Wales", "Pass"]
