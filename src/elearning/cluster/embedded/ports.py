"""Free ports on the loopback address."""

from __future__ import annotations

import random
import socket
from collections.abc import Collection

from elearning.errors import ClusterError

__all__ = ["LOOPBACK", "free_port", "is_free"]

LOOPBACK = "127.0.0.1"
# Below the ports that systems give to outgoing connections, which come and go.
FIRST, LAST = 15_000, 32_000
TRIES = 200


def is_free(port: int) -> bool:
    """Tell whether a server could listen on this port now."""
    with socket.socket() as probe:
        # As servers do: what is left of closed connections does not matter.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def free_port(taken: Collection[int]) -> int:
    """Return a free port that is none of these.

    Raises:
        ClusterError: after many tries.
    """
    for _ in range(TRIES):
        port = random.SystemRandom().randrange(FIRST, LAST)
        if port not in taken and is_free(port):
            return port
    message = f"found no free port from {FIRST} to {LAST - 1}"
    raise ClusterError(message)
