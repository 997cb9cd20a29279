"""Owns the choice of TCP ports on this machine. Must not know who listens on them."""

import random
import socket
import sys


class PortTakenError(Exception):
    """The port that was asked for is in use."""


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        if sys.platform != "win32":  # there it would steal a port that is in use
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def free_ports(count: int, preferred: list[int]) -> list[int]:
    """The preferred ports while they are free, else others, below the range from which systems serve clients."""
    if len(preferred) == count and all(is_free(port) for port in preferred):
        return preferred
    chosen: list[int] = []
    while len(chosen) < count:
        port = random.randrange(20_000, 32_000)  # noqa: S311 - nothing secret about it
        if port not in chosen and is_free(port):
            chosen.append(port)
    return chosen


def gateway_port(asked: int | None, usual: int = 7071) -> int:
    """The port asked for, or the usual one, or the next free one after it."""
    if asked is not None:
        if not is_free(asked):
            raise PortTakenError(f"Port {asked} is taken. Leave out --port to use a free one.")
        return asked
    return next((port for port in range(usual, usual + 100) if is_free(port)), None) or free_ports(1, [])[0]
