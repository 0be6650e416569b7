"""The six regions of the world that the platform serves."""

from __future__ import annotations

from enum import StrEnum

from elearning.errors import UnknownRegion

__all__ = ["Region"]


class Region(StrEnum):
    """A region; its ``code`` stands in every id, its ``abbreviation`` on invoices."""

    NORTH_AMERICA = "north_america"
    SOUTH_AMERICA = "south_america"
    EUROPE = "europe"
    AFRICA = "africa"
    ASIA = "asia"
    OCEANIA = "oceania"

    @property
    def code(self) -> int:
        """The region's number, 1 to 6. Stored in ids: never renumber."""
        return _CODES[self]

    @property
    def abbreviation(self) -> str:
        """Two letters, the first part of an invoice number."""
        return _ABBREVIATIONS[self.code - 1]

    @classmethod
    def parse(cls, value: Region | str) -> Region:
        """Return the region of this name.

        Raises:
            UnknownRegion: no region has this name.
        """
        try:
            return _BY_NAME[value]
        except (KeyError, TypeError):
            raise UnknownRegion(region=value, known=", ".join(cls)) from None

    @classmethod
    def from_code(cls, code: int) -> Region:
        """Return the region of a code.

        Raises:
            UnknownRegion: the code is not 1 to 6.
        """
        try:
            return _BY_CODE[code]
        except KeyError:
            raise UnknownRegion(region=code, known="1 to 6") from None


_CODES = {region: code for code, region in enumerate(Region, start=1)}
_BY_NAME: dict[str, Region] = {region.value: region for region in Region}
_BY_CODE = {code: region for region, code in _CODES.items()}
_ABBREVIATIONS = ("NA", "SA", "EU", "AF", "AS", "OC")
