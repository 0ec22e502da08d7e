"""What a home says to an MX: messages from which the filter is to learn. Lines of JSON over TLS, as in ``peer``.

The home always asks, by its identity; the MX always answers, with ``PeerReply``: ``ok`` means that this lesson is
done with, learned or not wanted; otherwise it should be brought again later, and ``words`` say why.
"""

from __future__ import annotations

import base64

from pydantic import Field

from roost.wire.agent_messages import Message

PORT = 8445
MOST_BYTES = 1_000_000


class Lesson(Message):
    """One message (base64) and what it is."""

    spam: bool
    message: str = Field(max_length=2 * MOST_BYTES)

    @classmethod
    def of(cls, message: bytes, *, spam: bool) -> Lesson:
        """Return a lesson from a message's bytes."""
        return cls(spam=spam, message=base64.b64encode(message).decode("ascii"))

    def content(self) -> bytes:
        """Return the message's bytes; raises ``ValueError``."""
        return base64.b64decode(self.message, validate=True)
