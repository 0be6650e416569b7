"""What a read must see."""

from __future__ import annotations

from enum import StrEnum

from elearning.errors import InvalidText

__all__ = ["Consistency"]


class Consistency(StrEnum):
    """What a read must see."""

    EVENTUAL = "eventual"
    """Whatever a replica has."""
    SESSION = "session"
    """All that this session, or the holder of its token, has written."""
    PRIMARY = "primary"
    """All that was committed."""

    @classmethod
    def parse(cls, value: Consistency | str) -> Consistency:
        """Return the level of this name.

        Raises:
            InvalidText: no level has this name.
        """
        if isinstance(value, cls):
            return value
        try:
            return cls(value)
        except ValueError:
            raise InvalidText(
                field="consistency", problem=f"{value!r} is none of {', '.join(cls)}"
            ) from None
