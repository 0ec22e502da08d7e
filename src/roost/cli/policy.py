"""``roost policy``: settings of the whole cluster."""

from __future__ import annotations

from cyclopts import App
from pydantic import ValidationError

from roost.cli.options import COMMON, WRITING, Common, Writing
from roost.cli.receipts import settle
from roost.cli.safe_text import size
from roost.cli.session import Use
from roost.domain.errors import BadSetting
from roost.wire.resources import PolicyView

app = App(name="policy")

_SIZES = ("message_size", "move_bandwidth", "balance_bytes", "sieve_script_size", "logs_journal_size")


@app.command
def show(*, options: Common = COMMON, session: Use) -> None:
    """Show the cluster's policy.

    For example:
      roost policy show
      roost policy show --output json
    """
    out, found = session.out(options), session.client().policy()
    if out.json:
        out.document(found)
    out.table(("SETTING", "VALUE"), [(name, _text(value)) for name, value in found.model_dump().items()])


@app.command(name="set")
def set_(name: str, value: str, /, *, options: Writing = WRITING, session: Use) -> None:
    """Change one setting of the policy.

    The settings:
      ttl                 seconds that a personal hostname may be cached
      message_size        largest message that is taken
      over_quota          mail for a full mailbox: defer or refuse
      forwarders          IP addresses of resolvers, with commas between them
      keep_days           days that the mail of a removed or moved mailbox stays
      login_processes     performance or security
      notify_secondaries  IP addresses of foreign DNS servers, with commas
      mailbox_format      format of new mailboxes: mdbox, sdbox or maildir
      hold_seconds        longest time for which a move may close a mailbox
      moves               most moves under way
      moves_per_node      most moves under way that one node has a part in
      moves_per_pair      most moves under way from one node to another
      move_bandwidth      bytes a second for each move; 0 for no limit
      move_hours          hours, UTC, in which moves begin: 22-6; '' for any
      balance_auto        whether plans are applied by themselves: on or off
      balance_every       hours from one such plan to the next
      balance_moves       most mailboxes that one such plan moves
      balance_bytes       most bytes that it copies
      balance_pauses      most seconds for which it closes mailboxes, added up
      balance_rest_days   days for which a moved mailbox is left where it is
      filter              whether mail from outside is judged: on or off
      filter_down         mail while the filter does not answer: defer or accept
      spam_score          points from which mail is marked and goes to Junk
      reject_score        points from which mail is refused
      greylist_score      points from which a sender is asked to come again; 0 for never
      dmarc               mail that fails DMARC: honour, quarantine or off
      forbidden_attachments  endings of files that are refused, with commas
      client_rate         most messages an hour from an IP address; 0 for no limit
      sender_rate         most messages an hour from a sender; 0 for no limit
      backscatter         mail from <> to several recipients: refuse or accept
      dns_lists           zones of DNS lists of bad clients, with commas
      clamav              whether each MX asks its own clamd: on or off
      redirects_per_message  most addresses that rules send one message on to; 0: none
      vacation_min_days   fewest days between two answers of rules to one sender
      sieve_script_size   largest script of rules
      sieve_scripts       most scripts of one user
      rules_rate          most messages an hour of one home's rules at one MX; 0 for no limit
      logs_keep_days      days that log nodes keep what they were sent
      logs_compress_after_days  days after which log nodes compress it
      logs_journal_size   most bytes of each machine's journal
      logs_local_copy     on: each machine also writes Debian's own log files
      metrics_from        networks that may ask nodes for figures, with commas
      probe_seconds       seconds from one round of test mail to the next; 0 for none

    For example:
      roost policy set ttl 30
      roost policy set message_size 50M
      roost policy set forwarders 192.0.2.53,198.51.100.53
      roost policy set forwarders ''
      roost policy set logs_local_copy on

    Parameters
    ----------
    name
        The setting.
    value
        Its new value; '' empties a list.
    """
    change = {name: _value(name, value)}
    _check(change)
    settle(session, options, session.client().change_policy(change, dry_run=options.dry_run))


def _text(value: object) -> str | int:
    """Return a value as it would be given to ``set``."""
    if isinstance(value, list):
        return ", ".join(value)
    return value if isinstance(value, int) else str(value)


def _value(name: str, text: str) -> int | str | list[str]:
    """Return the value in the form that the setting has."""
    known = PolicyView.model_fields
    if name not in known:
        raise BadSetting(
            f"The policy has no setting {name!r}.", field=name, remedy=f"The settings are: {', '.join(known)}."
        )
    kind = known[name].annotation
    if kind is int and name in _SIZES:
        return size(text, field=name)
    if kind is int:
        if not (text.isascii() and text.isdigit() and len(text) < 20):
            raise BadSetting(f"{name} must be a whole number, not {text!r}.", field=name)
        return int(text)
    if kind is str:
        return text.strip()
    return [part.strip() for part in text.split(",") if part.strip()]


def _check(change: dict[str, int | str | list[str]]) -> None:
    """Refuse what no policy can hold; raises ``BadSetting`` naming the setting."""
    try:
        PolicyView.model_validate(change)
    except ValidationError as error:
        name, value = next(iter(change.items()))
        reason = error.errors()[0]["msg"]
        raise BadSetting(f"{name} cannot be {value!r}: {reason}.", field=name) from error
