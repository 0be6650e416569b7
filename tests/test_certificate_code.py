from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from elearning.certificate_code import new_code, parse_code, region_of_code
from elearning.errors import InvalidCertificateCode, UnknownRegion
from elearning.regions import Region

SIGNS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
SHAPE = re.compile(rf"[1-6][{SIGNS}]{{3}}(-[{SIGNS}]{{4}}){{4}}")

regions = st.sampled_from(Region)
places = st.integers(0, 19)


def signs_of(code: str) -> list[str]:
    return list(code.replace("-", ""))


@given(regions)
def test_a_code_has_a_shape_and_tells_its_region(region: Region) -> None:
    code = new_code(region)
    assert SHAPE.fullmatch(code)
    assert region_of_code(code) is region
    assert parse_code(code) == code


def test_a_code_is_told_as_documented() -> None:
    assert parse_code("3k7wq0zdm5xa9tbh2vce") == "3K7W-Q0ZD-M5XA-9TBH-2VCE"
    assert region_of_code("3K7W-Q0ZD-M5XA-9TBH-2VCE") is Region.EUROPE


def test_codes_are_made_of_random_bits() -> None:
    codes = [signs_of(new_code("asia")) for _ in range(3_000)]
    # 90 bits: each of the 18 places has every sign, each about as often.
    for place in range(1, 19):
        counts = [sum(code[place] == sign for code in codes) for sign in SIGNS]
        # 94 are expected; 6 standard deviations each way.
        assert all(36 < count < 152 for count in counts), (place, counts)
    assert len({"".join(code) for code in codes}) == len(codes)


@given(regions, st.data())
def test_case_and_separators_do_not_matter(region: Region, data: st.DataObject) -> None:
    code = new_code(region)
    written = "".join(
        data.draw(st.sampled_from([sign, sign.lower()]))
        + data.draw(st.sampled_from(["", "-", " ", "\u2013", "\u2011", ".", "_", "\n", "\u00a0"]))
        for sign in signs_of(code)
    )
    assert parse_code(f" {written}\t") == code


@given(regions)
def test_what_looks_alike_is_read_alike(region: Region) -> None:
    code = new_code(region)
    for zero, one in (("O", "I"), ("o", "l"), ("O", "L"), ("o", "i")):
        assert parse_code(code.replace("0", zero).replace("1", one)) == code


@given(regions, places, st.sampled_from(SIGNS))
def test_one_wrong_sign_is_noticed(region: Region, place: int, wrong: str) -> None:
    signs = signs_of(new_code(region))
    assume(signs[place] != wrong)
    signs[place] = wrong
    with pytest.raises(InvalidCertificateCode, match="has a wrong sign"):
        parse_code("".join(signs))


@given(regions, places, places)
def test_two_signs_that_are_swapped_are_noticed(region: Region, one: int, other: int) -> None:
    signs = signs_of(new_code(region))
    assume(signs[one] != signs[other])
    signs[one], signs[other] = signs[other], signs[one]
    with pytest.raises(InvalidCertificateCode, match="swapped"):
        parse_code("".join(signs))


@given(st.text(max_size=60))
def test_texts_that_are_no_code(text: str) -> None:
    with pytest.raises(InvalidCertificateCode):
        parse_code(text)


@given(st.text(alphabet=SIGNS + SIGNS.lower() + "-", min_size=15, max_size=30))
def test_what_is_read_is_read_again(text: str) -> None:
    try:
        code = parse_code(text)
    except InvalidCertificateCode:
        return
    assert parse_code(code) == code
    assert region_of_code(code) in Region


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("", "does not have 20 signs"),
        ("3K7W-Q0ZD-M5XA-9TBH-2VC", "does not have 20 signs"),
        ("3K7W-Q0ZD-M5XA-9TBH-2VCEE", "does not have 20 signs"),
        ("3K7W-Q0ZD-M5XA-9TBH-2VCE" + "-" * 100, "does not have 20 signs"),
        ("3" * 1_000_000, "does not have 20 signs"),
        ("3K7W-Q0ZD-M5XA-9TBH-2VCU", "holds 'U'"),
        ("3K7W-Q0ZD-M5XA-9TBH-2V\u0000E", r"holds '\\x00'"),
        ("\u0663K7W-Q0ZD-M5XA-9TBH-2VCE", "holds"),
        ("0" * 20, "names no region"),
        (None, "is no text"),
        (3, "is no text"),
        (b"3K7W-Q0ZD-M5XA-9TBH-2VCE", "is no text"),
    ],
    ids=range(12),
)
def test_what_is_wrong_is_told(code: Any, problem: str) -> None:
    with pytest.raises(InvalidCertificateCode, match=problem) as caught:
        parse_code(code)
    assert len(str(caught.value)) < 200


def test_a_code_needs_a_region() -> None:
    with pytest.raises(UnknownRegion, match="moon"):
        new_code("moon")
