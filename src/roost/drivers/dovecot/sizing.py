"""How many processes and how much memory Dovecot may use on a machine of a given size. Pure arithmetic.

One IMAP session is one process of 2 to 4 MB of its own (measured on 2.3 and 2.4 with mdbox), so memory sets the
number of sessions. Login processes in posture *performance* serve a thousand connections each: several users'
connections share one address space, which is worth a factor of four to six in logins per second. In posture
*security* each connection has a process of its own, and a fault in one shows nobody else's data.

Dovecot warns at start where ``auth`` or ``anvil`` may have fewer clients than all other services together may
have processes, so their limit follows from the sum.

Dovecot 2.4 learns how many workers may check passwords from the first of them (``auth-worker-connection.c``). Until
that one has answered, everybody who comes gets another, and who gets one too many is refused some seconds later with
``[UNAVAILABLE]``: seen after reloads on busy machines, where 4 were allowed. What helps is to keep some ready and to
allow what a crowd needs.
"""

from __future__ import annotations

from dataclasses import dataclass

from roost.domain.errors import BadSetting
from roost.ports.host import Facts

_CONNECTIONS_PER_LOGIN_PROCESS = 1000
_MEGABYTES_PER_SESSION = 4
_CROWD = 32


@dataclass(frozen=True)
class Service:
    """Limits of one login service: processes, processes kept ready, connections of each."""

    processes: int
    ready: int
    clients: int


@dataclass(frozen=True)
class Sizing:
    """Every figure that the templates take. Memory in MB."""

    shared_logins: bool
    """Whether a login process serves many connections, one after another and at once."""

    imap_login: Service
    pop3_login: Service
    sieve_login: Service
    imap: int
    pop3: int
    sieve: int
    ready: int
    """IMAP processes kept ready; POP3 keeps half of it."""

    lmtp: int
    auth_workers: int
    """How many passwords are checked at once."""

    auth_crowd: int
    """What 2.4 may have of them instead: more than come in the first moment after it was started."""

    auth_clients: int
    cache_mb: int
    auth_mb: int
    login_mb: int


def sizing_for(facts: Facts, login_processes: str) -> Sizing:
    """Return the figures for a machine and ``policy.login_processes``; raises ``BadSetting`` for an unknown one."""
    if login_processes not in {"performance", "security"}:
        raise BadSetting(
            f"login_processes cannot be {login_processes!r}.",
            field="login_processes",
            remedy="It is performance or security.",
        )
    shared = login_processes == "performance"
    processors = max(1, facts.processors)
    imap = _between(100, facts.memory_mb // _MEGABYTES_PER_SESSION, 20_000)
    pop3 = max(50, imap // 4)
    # Few people have a program that speaks ManageSieve, and it stays for a moment.
    sieve = max(20, imap // 20)
    lmtp = _between(20, 10 * processors, 200)
    workers = _between(4, 2 * processors, 64)
    imap_login, pop3_login, sieve_login = (_login(sessions, processors, shared) for sessions in (imap, pop3, sieve))
    logins = imap_login.processes + pop3_login.processes + sieve_login.processes
    crowd = max(_CROWD, workers)
    total = logins + imap + pop3 + sieve + lmtp + crowd
    cache = _between(16, facts.memory_mb // 32, 512)
    return Sizing(
        shared_logins=shared,
        imap_login=imap_login,
        pop3_login=pop3_login,
        sieve_login=sieve_login,
        imap=imap,
        pop3=pop3,
        sieve=sieve,
        ready=_between(2, 2 * processors, 32),
        lmtp=lmtp,
        auth_workers=workers,
        auth_crowd=crowd,
        # The rest is for doveadm, stats and whatever the administrator runs beside.
        auth_clients=total + 200,
        cache_mb=cache,
        # One ARGON2ID of m=19456 takes 19 MB; the rest is the cache, its index, and room for requests under way.
        auth_mb=2 * cache + 256,
        login_mb=512 if shared else 128,
    )


def _login(sessions: int, processors: int, shared: bool) -> Service:
    """Return the limits of the login service before so many sessions; TLS is done there for a session's life."""
    if not shared:
        return Service(processes=sessions, ready=_between(2, 2 * processors, 32), clients=1)
    # Half as many connections again as sessions: those that are still saying who they are.
    needed = -(-(sessions * 3 // 2) // _CONNECTIONS_PER_LOGIN_PROCESS)
    return Service(
        processes=max(2, processors, needed),
        ready=_between(2, processors, 16),
        clients=_CONNECTIONS_PER_LOGIN_PROCESS,
    )


def _between(low: int, value: int, high: int) -> int:
    return max(low, min(value, high))
