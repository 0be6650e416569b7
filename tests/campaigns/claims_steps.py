"""Where a client can be killed: its own process alone wraps the steps, nothing in the library."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from threading import Timer
from types import ModuleType
from typing import Any

from elearning import crud
from elearning.flows import claims, registration, relay

__all__ = ["ANY", "EMAIL_STEPS", "SEAT_STEPS", "Kill", "Steps", "choose_kills"]

ANY = "any"
"""At some moment, such as while a server works for it."""

SEAT_STEPS = (
    "claim before",
    "claim after",
    "use before",
    "use open",
    "use after",
    "confirm before",
    "confirm after",
    "cancel before",
    "cancel open",
    "cancel after",
    "decide before",
    "decide after",
    "release before",
    "release after",
    "deliver before",
    "deliver after",
    "offer before",
    "offer after",
    ANY,
)
EMAIL_STEPS = (
    "claim before",
    "claim after",
    "use open",
    "use after",
    "confirm before",
    "confirm after",
    "decide before",
    "decide after",
    "release before",
    "release after",
    "deliver before",
    "deliver after",
    ANY,
)


@dataclass(frozen=True)
class Kill:
    """When a client dies: at which arrival at a step, or after so many seconds."""

    step: str
    arrival: int = 1
    seconds: float = 0.0


def choose_kills(
    random: Random, steps: Sequence[str], died: Collection[str], number: int, seconds: float
) -> list[Kill]:
    """Return where so many clients die: first at the steps where nobody has died yet.

    Args:
        random: chooses.
        steps: all there are.
        died: the steps at which clients have died.
        number: how many kills.
        seconds: how long the clients act.
    """
    left = [step for step in steps if step not in died]
    # Rarely reached ones are tried until it happens; after that, any arrival at any step.
    chosen = [*random.sample(left, len(left)), *random.choices(steps, k=number)][:number]
    return [
        Kill(
            step,
            1 if step in left or step == ANY else random.choice((1, 1, 1, 2, 3)),
            random.uniform(0.1, seconds),
        )
        for step in chosen
    ]


class Steps:
    """Kills this process at a step; the note tells afterwards that it was there.

    Args:
        note: a file, written right before.
    """

    def __init__(self, note: Path) -> None:
        self._note = note
        self._kill: Kill | None = None
        self._left = 0

    def arm(self, kill: Kill | None) -> None:
        """From now on, die there; None: nowhere."""
        self._kill = kill
        if kill is None:
            return
        self._left = kill.arrival
        if kill.step == ANY:
            timer = Timer(kill.seconds, self.arrive, (ANY,))
            timer.daemon = True
            timer.start()

    def arrive(self, step: str) -> None:
        """Die here, if this is the step."""
        if self._kill is None or self._kill.step != step:
            return
        self._left -= 1
        if self._left == 0:
            self._note.write_text(step, encoding="utf-8")
            os.kill(os.getpid(), signal.SIGKILL)

    def wrap_seats(self, caller: ModuleType) -> None:
        """Watch the steps of enrollments.

        Args:
            caller: the module that calls the flows.
        """
        self._around(caller, "cancel_enrollment", "cancel")
        self._around(claims, "claim_seat", "claim")
        self._around(claims, "use_seat", "use")
        # In the transaction: before its COMMIT.
        self._inside(crud, "enroll_user", after="use open")
        self._inside(crud, "cancel_enrollment", after="cancel open")
        self._inside(relay, "release_claim", "deliver before", "deliver after")
        self._around(relay, "settle", "offer")
        self._wrap_settling()

    def wrap_emails(self) -> None:
        """Watch the steps of registrations."""
        self._inside(crud, "claim_email", "claim before", "claim after")
        self._inside(registration, "create_user_with_profile", after="use open")
        # The first thing after the COMMIT.
        self._inside(claims, "confirm_address", "use after")
        self._around(relay, "insert_once", "deliver")
        self._wrap_settling()

    def _wrap_settling(self) -> None:
        self._around(claims, "confirm", "confirm")
        self._around(claims, "decide", "decide")
        self._around(claims, "release", "release")

    def _around(self, module: ModuleType, name: str, step: str) -> None:
        """Watch what is awaited; callers find it in its module when they call it."""
        inner: Callable[..., Awaitable[Any]] = getattr(module, name)

        async def watched(*args: Any, **options: Any) -> Any:
            self.arrive(f"{step} before")
            result = await inner(*args, **options)
            self.arrive(f"{step} after")
            return result

        setattr(module, name, watched)

    def _inside(self, module: ModuleType, name: str, before: str = "", after: str = "") -> None:
        """Watch what is called."""
        inner: Callable[..., Any] = getattr(module, name)

        def watched(*args: Any, **options: Any) -> Any:
            self.arrive(before)
            result = inner(*args, **options)
            self.arrive(after)
            return result

        setattr(module, name, watched)
