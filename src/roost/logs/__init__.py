"""From log lines to what became of each message, and the questions about it. Runs on the node that has the log files.

::

    log files ──files.py──> lines ──parser.py──> book.py ──days.py──> one SQLite file for each day ──answers.py──>
                                    postfix.py                 state.py: positions, and what is under way
                                    sendmail.py
                                    dovecot.py
                                    rspamd.py

A line is ``2026-11-25T03:40:24.123456+00:00 NODE PROGRAM[PID]: text``: UTC with microseconds, the node's full name as
its certificate proves it, the text with control characters escaped. Stamp, node and program are believed; the text is
written by our own daemons, but holds what strangers have chosen. So every form of text is matched from a fixed
beginning to a fixed end, an address by its own grammar (``line.ADDRESS``), and nothing is searched for. A text that
can be read in two ways gives no address at all.

Doing the same twice changes nothing: a row's key follows from the line that began it. That is why a crash loses
nothing and doubles nothing, although the files of two days and the positions are three files (``collector.py``).
"""
