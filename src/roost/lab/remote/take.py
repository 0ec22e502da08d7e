"""Takes mail as a server outside does, on port 25 of the client machine, and tells of each message.

In: nothing; it stops when its input ends. Out: a line ``{"ready": true}``, then one for each message with ``sender``
and ``recipients`` of the envelope, and ``content`` in base64.
"""

import base64
import json
import os
import socketserver
import sys
import threading
from typing import Any

_PRINTING = threading.Lock()


def tell(**fields: Any) -> None:
    """Print a line: without sys.stdout, whose lock a thread could hold when the program ends."""
    line = json.dumps(fields).encode() + b"\n"
    with _PRINTING:
        while line:
            line = line[os.write(1, line) :]


class Conversation(socketserver.StreamRequestHandler):
    """As much of SMTP (RFC 5321) as another server needs to hand over its mail."""

    def say(self, words: str) -> None:
        """Say one line."""
        self.wfile.write(f"{words}\r\n".encode())

    def handle(self) -> None:
        """Take messages until the client goes."""
        sender = ""
        recipients: list[str] = []
        self.say("220 client.outside.test ESMTP")
        while line := self.rfile.readline():
            words = line.decode(errors="replace").strip()
            verb = words[:4].upper()
            if verb == "EHLO":
                self.wfile.write(b"250-client.outside.test\r\n250 8BITMIME\r\n")
            elif verb == "MAIL":
                sender, recipients = words.partition("<")[2].partition(">")[0], []
                self.say("250 2.1.0 OK")
            elif verb == "RCPT":
                recipients.append(words.partition("<")[2].partition(">")[0])
                self.say("250 2.1.5 OK")
            elif verb == "DATA":
                self.say("354 Go on")
                lines = []
                while (line := self.rfile.readline()) != b".\r\n":
                    if not line:
                        return
                    lines.append(line.removeprefix(b"."))
                content = base64.b64encode(b"".join(lines)).decode("ascii")
                tell(sender=sender, recipients=recipients, content=content)
                self.say("250 2.0.0 Taken")
            elif verb == "QUIT":
                self.say("221 2.0.0 Bye")
                return
            else:
                self.say("250 2.0.0 OK")


class Server(socketserver.ThreadingTCPServer):
    """One thread for each client."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 100


def main() -> None:
    """Serve until nobody listens any more."""
    with Server(("", 25), Conversation) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        tell(ready=True)
        sys.stdin.read()
        server.shutdown()


main()
