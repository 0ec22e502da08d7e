"""Lines to the methods that understand them, by the name of the program that wrote each."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

from roost.logs.book import Book
from roost.logs.dovecot import Dovecot
from roost.logs.line import micros
from roost.logs.postfix import Postfix
from roost.logs.rspamd import Rspamd
from roost.logs.sendmail import Sendmail

Handler = Callable[[str, str, str], None]


class _Programs(dict[str, Handler | None]):
    """Who reads the lines of a program; None for nobody. Found out once for each name."""

    _MOST = 10_000

    def __init__(self, book: Book) -> None:
        super().__init__()
        self._postfix = Postfix(book).programs
        sendmail, dovecot = Sendmail(book).sendmail, Dovecot(book).dovecot
        self._others = {
            "dovecot": dovecot,
            "rspamd": Rspamd(book).rspamd,
            "sendmail": sendmail,
            "sm-mta": sendmail,
        }

    def __missing__(self, name: str) -> Handler | None:
        instance, slash, program = name.rstrip(":").rpartition("/")
        # Further instances of Postfix are called postfix-in, postfix-out and so on (multi_instance_name), and a
        # service may have a name between (syslog_name = postfix/submission).
        if slash:
            ours = instance.partition("/")[0].partition("-")[0] == "postfix"
            found = self._postfix.get(program) if ours else None
        else:
            found = self._others.get(program)
        if len(self) > self._MOST:
            self.clear()
        self[name] = found
        return found


class Parser:
    """Reads lines into a book."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._programs = _Programs(book)
        self.strange = 0
        """Lines that are not in the collector's form."""

    def read(self, lines: Iterable[str]) -> None:
        """Take lines, without their ends, in the order of their file."""
        programs = self._programs
        stamp = ""
        for line in lines:
            try:
                stamp, node, program, text = line.split(" ", 3)
                handler = programs[program.partition("[")[0]]
                if handler is not None:
                    handler(stamp, node, text)
            except ValueError:
                self.strange += 1
        with contextlib.suppress(ValueError):
            self._book.now = max(self._book.now, micros(stamp))
