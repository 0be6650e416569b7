"""What is wrong with the copies of one shard's catalog on another."""

from __future__ import annotations

from elearning.cluster.mesh.connecting import place
from elearning.cluster.mesh.names import slot_name
from elearning.cluster.mesh.slots import Slot
from elearning.cluster.mesh.subscription import Subscription
from elearning.config import Shard
from elearning.errors import MeshError

__all__ = ["address_in", "note_of", "why_mend"]

_AT = ", at "


def note_of(
    publisher: Shard, *, there: int, here: int, publication: int | None, left: int = 0
) -> str:
    """Return what is noted at a subscription; where it would differ, the copies may.

    A promoted replica may lack what the lost primary had: as the publisher, so that the
    subscriber is ahead of it and skips what comes; and as the subscriber, so that the publisher
    does not send again what was confirmed. Both would be silent.

    Args:
        publisher: that is subscribed to.
        there: the publisher's timeline.
        here: the subscriber's.
        publication: tells it from former ones of its name.
        left: the number of copies whose originals are lost; each time it is tried again.
    """
    if publisher.replication is None:
        raise MeshError(problem=f"{publisher.name} has no URL for replication")
    lost = f"{left} row(s) lost at home, " if left else ""
    return (
        f"{lost}publisher timeline {there}, subscriber timeline {here}, "
        f"publication {publication}{_AT}{place(publisher.replication)}"
    )


def address_in(note: str) -> str:
    """Return where a subscription leads, by its note."""
    return note.partition(_AT)[2]


def why_mend(
    publisher: Shard,
    subscriber: Shard,
    found: Subscription | None,
    slots: dict[str, Slot],
    wanted: str,
) -> str | None:
    """Return why the copies must be compared anew; None: they need not."""
    name = slot_name(publisher, subscriber)
    slot = slots.get(name)
    why: str | None = None
    if found is None:
        why = "no subscription"
    elif found.slot != name or slot is None:
        why = "its slot is gone"
    elif slot.lost:
        why = "its slot was invalidated, for it fell too far behind"
    elif outdated := _outdated(found.note, wanted):
        why = f"made with {outdated}"
    elif not found.running and found.errors:
        why = f"stopped after {found.errors} error(s)"
    return why


def _outdated(note: str, wanted: str) -> str:
    """Return what differs between two notes, beside the address."""
    parts = wanted.partition(_AT)[0].split(", ")
    noted = note.partition(_AT)[0].split(", ") if note else ["no note of ours"]
    return ", ".join(part for part in noted if part not in parts)
