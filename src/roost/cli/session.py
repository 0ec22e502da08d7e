"""What a command is given: the connection to the API, made when it is first used, and the way to print."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from roost.cli.options import Common
from roost.cli.output import Output

if TYPE_CHECKING:
    from roost.wire.client import AdminClient


class Session:
    """What a command is given: the connection (made at first use) and the way to print.

    ``app`` is the whole command line, for what describes it. ``connect`` replaces the connection in tests.
    """

    def __init__(self, app: App, connect: Callable[[], AdminClient] | None = None) -> None:
        self.app = app
        self._connect = connect or _connect
        self._client: AdminClient | None = None

    def client(self) -> AdminClient:
        """Return the connection to the API."""
        if self._client is None:
            self._client = self._connect()
        return self._client

    def out(self, common: Common) -> Output:
        """Return what prints in the form that was asked for."""
        return Output(common.output)

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._client is not None:
            self._client.close()


Use = Annotated[Session, Parameter(parse=False)]
"""A command's parameter that is not of the command line: ``app.run`` hands the session in."""


def _connect() -> AdminClient:
    # Loaded here and not above: TLS, HTTP and the models cost half a second, which help need not pay.
    from roost.cli.settings import connect  # noqa: PLC0415

    return connect()
