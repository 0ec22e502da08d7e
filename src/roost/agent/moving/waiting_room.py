"""Where whoever comes during a hold waits: ports on this machine that accept a connection and say nothing.

Dovecot leads logins and deliveries for the held mailbox here as to any other server. When it is known where the
mailbox is, each connection is led on there and its bytes are carried in both directions; TLS goes through, from
Dovecot to the server that it ends at. So nobody is refused, and nobody waits longer than the hold.

A room stays open for a while after it was released: a login that was looked up during the hold may only now arrive.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

import structlog

_LATE_SECONDS = 30.0
_PIECE = 65536
_log = structlog.get_logger()
T = TypeVar("T")


class WaitingRooms:
    """All rooms of this node, each under the number of its move; one thread for all. Safe for threads."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._rooms: dict[int, _Room] = {}
        self._thread = threading.Thread(target=self._run, name="waiting rooms", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    def open(self, move: int, protocols: tuple[str, ...]) -> dict[str, int]:
        """Open a room and return its port for each protocol; an earlier one of the same move is released before."""
        return self._in_loop(self._open(move, protocols))

    def release(self, move: int, address: str, ports: Mapping[str, int]) -> int:
        """Lead everybody on to the ports at this address; returns how many were waiting. No room: nothing."""
        return self._in_loop(self._release(move, address, ports))

    def close(self) -> None:
        """End everything, also connections that were led on."""
        self._in_loop(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _end(self) -> None:
        for room in self._rooms.values():
            await room.close()
        guests = asyncio.all_tasks() - {asyncio.current_task()}
        for guest in guests:
            guest.cancel()
        await asyncio.gather(*guests, return_exceptions=True)

    def _in_loop(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _open(self, move: int, protocols: tuple[str, ...]) -> dict[str, int]:
        if move in self._rooms:
            await self._rooms.pop(move).close()
        room = self._rooms[move] = _Room()
        return {protocol: await room.listen(protocol) for protocol in protocols}

    async def _release(self, move: int, address: str, ports: Mapping[str, int]) -> int:
        room = self._rooms.get(move)
        if room is None:
            return 0
        waiting = room.release(address, ports)
        self._loop.call_later(_LATE_SECONDS, self._forget, move, room)
        return waiting

    def _forget(self, move: int, room: _Room) -> None:
        if self._rooms.get(move) is room:
            del self._rooms[move]
        self._loop.create_task(room.close())


class _Room:
    """One hold's. Connections that are under way outlive it."""

    def __init__(self) -> None:
        self._servers: list[asyncio.Server] = []
        self._known: asyncio.Future[tuple[str, Mapping[str, int]]] = asyncio.get_running_loop().create_future()
        self._waiting = 0
        self._guests: set[asyncio.Task[None]] = set()

    async def listen(self, protocol: str) -> int:
        """Open one port and return it."""

        async def come(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None  # noqa: S101 - asyncio runs it as one
            self._guests.add(task)
            try:
                await self._serve(protocol, reader, writer)
            except (OSError, asyncio.IncompleteReadError) as error:
                _log.warning("a waiting connection came to nothing", protocol=protocol, reason=str(error))
            finally:
                self._guests.discard(task)
                writer.close()

        server = await asyncio.start_server(come, "127.0.0.1", 0, limit=_PIECE)
        self._servers.append(server)
        port = server.sockets[0].getsockname()[1]
        assert isinstance(port, int)  # noqa: S101 - a TCP port
        return port

    def release(self, address: str, ports: Mapping[str, int]) -> int:
        """Say where to go on to; only the first word counts."""
        if not self._known.done():
            self._known.set_result((address, ports))
        return self._waiting

    async def close(self) -> None:
        """Take nobody any more; who waits without anybody having said where to go is let go."""
        for server in self._servers:
            server.close()
        if not self._known.done():
            self._known.cancel()

    async def _serve(self, protocol: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._waiting += 1
        try:
            address, ports = await asyncio.shield(self._known)
        except asyncio.CancelledError:
            return
        finally:
            self._waiting -= 1
        onward, out = await asyncio.open_connection(address, ports[protocol], limit=_PIECE)
        try:
            await asyncio.gather(_pump(reader, out), _pump(onward, writer))
        finally:
            out.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry one direction to its end."""
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(_PIECE):
            writer.write(piece)
            await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        writer.write_eof()
