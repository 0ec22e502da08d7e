"""Commands to Redis and its answers, in its protocol RESP2 (redis.io, "Redis serialization protocol").

All commands of one call go in one packet over one connection. What is asked for is small, so an answer is read whole.
"""

from __future__ import annotations

from collections.abc import Sequence

from roost.domain.errors import DaemonFailed
from roost.ports.host import Host

Reply = str | int | list["Reply"] | None
_SECONDS = 10.0


class _Short(Exception):
    """More is to come."""


def ask(host: Host, socket: str, commands: Sequence[Sequence[str]]) -> list[Reply]:
    """Return the answers to commands; raises ``DaemonFailed`` where Redis is away or refuses one of them."""
    said = "".join(
        f"*{len(command)}\r\n" + "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in command)
        for command in commands
    )
    found = host.ask(socket, said, lambda part: _are_there(part, len(commands)), seconds=_SECONDS)
    replies, _ = _read(bytes(found), len(commands))
    return replies


def _are_there(found: bytearray, count: int) -> bool:
    # The last answer ends with a line's end, so that most looks cost nothing.
    if not found.endswith(b"\r\n"):
        return False
    try:
        _read(bytes(found), count)
    except _Short:
        return False
    return True


def _read(data: bytes, count: int) -> tuple[list[Reply], int]:
    replies, place = [], 0
    for _ in range(count):
        reply, place = _one(data, place)
        replies.append(reply)
    return replies, place


def _one(data: bytes, place: int) -> tuple[Reply, int]:
    """Return the answer that begins at a place, and where the next begins."""
    end = data.find(b"\r\n", place)
    if end < 0:
        raise _Short
    kind, line, place = data[place : place + 1], data[place + 1 : end].decode(errors="replace"), end + 2
    if kind == b"-":
        raise DaemonFailed(f"Redis refuses: {line}.")
    if kind == b"+":
        return line, place
    if kind == b":":
        return int(line), place
    length = int(line)
    if length < 0:
        return None, place
    if kind == b"$":
        if len(data) < place + length + 2:
            raise _Short
        return data[place : place + length].decode(errors="replace"), place + length + 2
    items: list[Reply] = []
    for _ in range(length):
        item, place = _one(data, place)
        items.append(item)
    return items, place
