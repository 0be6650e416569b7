from __future__ import annotations

import pytest

from elearning.errors import UnknownRegion
from elearning.regions import Region


def test_six_regions_with_stable_codes() -> None:
    assert [(region.value, region.code, region.abbreviation) for region in Region] == [
        ("north_america", 1, "NA"),
        ("south_america", 2, "SA"),
        ("europe", 3, "EU"),
        ("africa", 4, "AF"),
        ("asia", 5, "AS"),
        ("oceania", 6, "OC"),
    ]


@pytest.mark.parametrize("region", list(Region), ids=str)
def test_code_and_back(region: Region) -> None:
    assert Region.from_code(region.code) is region
    assert Region.parse(region.value) is region


@pytest.mark.parametrize("name", ["", "Europe", "atlantis", "eu"])
def test_unknown_name(name: str) -> None:
    with pytest.raises(UnknownRegion, match=r"expected one of north_america, .*oceania") as caught:
        Region.parse(name)
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize("code", [0, 7, -1, 255])
def test_unknown_code(code: int) -> None:
    with pytest.raises(UnknownRegion, match="1 to 6"):
        Region.from_code(code)
