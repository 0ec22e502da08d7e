"""``roost user password``, ``suspend`` and ``resume``: who may log in."""

from __future__ import annotations

from roost.cli.ask import HashFile, new_password
from roost.cli.options import WRITING, Writing
from roost.cli.receipts import settle
from roost.cli.session import Session, Use
from roost.domain.names import Address
from roost.wire.resources import MailboxChange


def password(
    address: str,
    /,
    *,
    password_stdin: bool = False,
    password_hash: HashFile = None,
    options: Writing = WRITING,
    session: Use,
) -> None:
    """Give a mailbox another password.

    Asks for it on the terminal, twice, unless an option says where it comes from.

    For example:
      roost user password john@example.test
      pass show john | roost user password john@example.test --password-stdin
      roost user password john@example.test --password-hash /root/john.hash

    Parameters
    ----------
    address
        The mailbox.
    password_stdin
        Read the password from standard input (one line).
    password_hash
        File that holds a hash with Dovecot's scheme prefix, such as {ARGON2ID}...; - for standard input.
    """
    own = str(Address.parse_own(address))
    clear, hashed = new_password(from_stdin=password_stdin, hash_file=password_hash)
    change = MailboxChange(password=clear, password_hash=hashed)
    settle(session, options, session.client().change_mailbox(own, change, dry_run=options.dry_run))


def suspend(address: str, /, *, options: Writing = WRITING, session: Use) -> None:
    """Refuse logins of a mailbox.

    What happens to its mail is the domain's setting 'suspended'.

    For example:
      roost user suspend john@example.test
      roost user suspend john@example.test --dry-run

    Parameters
    ----------
    address
        The mailbox.
    """
    _suspended(session, options, address, suspended=True)


def resume(address: str, /, *, options: Writing = WRITING, session: Use) -> None:
    """Let a suspended mailbox log in again.

    For example:
      roost user resume john@example.test

    Parameters
    ----------
    address
        The mailbox.
    """
    _suspended(session, options, address, suspended=False)


def _suspended(session: Session, options: Writing, address: str, *, suspended: bool) -> None:
    own, change = str(Address.parse_own(address)), MailboxChange(suspended=suspended)
    settle(session, options, session.client().change_mailbox(own, change, dry_run=options.dry_run))
