"""A service in a machine that says a line back, and what asks it: how the tests see a machine from outside."""

from __future__ import annotations

from roost.lab.machine import Machine

PORT = 7007

_SERVER = f"""
import socketserver
class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(self.rfile.readline())
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
Server(("", {PORT}), Echo).serve_forever()
"""

_UNIT = """
[Service]
ExecStart=/usr/bin/python3 /usr/local/bin/echo.py
ExecStop=/bin/sh -c 'echo stopped in order >/var/lib/echo-stopped; sync'
[Install]
WantedBy=multi-user.target
"""

# Says "answered", or what came in the way: the class of the error, after at most so many seconds.
_ASK = f"""
import socket, sys
try:
    with socket.create_connection((sys.argv[1], {PORT}), float(sys.argv[2])) as server:
        print("connected", flush=True)
        server.sendall(b"hello\\n")
        print("answered" if server.makefile().readline() == "hello\\n" else "closed")
except OSError as error:
    print(type(error).__name__)
"""


def install(machine: Machine) -> None:
    """Put the service on a machine, switched on now and at every boot."""
    machine.write("/usr/local/bin/echo.py", _SERVER)
    machine.write("/etc/systemd/system/echo.service", _UNIT)
    machine.run(["systemctl", "daemon-reload"])
    machine.run(["systemctl", "enable", "--now", "echo.service"])


def ask(client: Machine, server: Machine, seconds: float = 1.5) -> str:
    """Return what a client meets: ``connected answered``, ``connected TimeoutError``, ``ConnectionRefusedError``…"""
    said = client.run(["python3", "-c", _ASK, server.address, str(seconds)]).stdout
    return " ".join(said.split())


def wait_answered(client: Machine, server: Machine) -> None:
    """Wait until the service answers; fails after ten tries."""
    met = [ask(client, server) for _ in iter(range(10))]
    assert "connected answered" in met
