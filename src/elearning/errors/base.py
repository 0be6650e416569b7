"""What all errors have in common."""

from __future__ import annotations

from typing import ClassVar

__all__ = ["ElearningError"]


class ElearningError(Exception):
    """Base of all errors here; ``values`` holds what the message names."""

    template: ClassVar[str] = "{message}"
    sqlstate: ClassVar[str | None] = None

    def __init__(self, message: str | None = None, **values: object) -> None:
        self.values: dict[str, object] = (
            values if message is None else {"message": message, **values}
        )
        super().__init__(
            message if message is not None else self.template.format_map(_Lenient(self.values))
        )

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword arguments are lost by the default pickling, and errors cross
        # process borders where shards are migrated in separate processes.
        return (_rebuild, (type(self), self.values))


class _Lenient(dict[str, object]):
    def __missing__(self, key: str) -> str:
        return "?"


def _rebuild(cls: type[ElearningError], values: dict[str, object]) -> ElearningError:
    return cls(**values)  # type: ignore[arg-type]
