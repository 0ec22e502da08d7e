"""``roost node``: the machines of the cluster."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import App, Parameter

from roost.cli import load, node_lives
from roost.cli.options import COMMON, WRITING, Common, Writing
from roost.cli.output import Output
from roost.cli.receipts import settle
from roost.cli.safe_text import size
from roost.cli.session import Session, Use
from roost.cli.status import health_of, roles_of, state_of
from roost.domain.cluster import Node
from roost.domain.errors import BadSetting
from roost.domain.names import host_name
from roost.domain.node_life import Life
from roost.domain.ties import tie_name
from roost.wire.resources import Declared, NewNode, NodeAdded, NodeChange, NodeView

app = App(name="node")

RoleWord = Literal["mx", "backup-mx", "dns", "storage", "log", "control"]

ClassOption = Annotated[list[str] | None, Parameter(name="--class", negative=())]

_LONGEST_MINUTES = 10_080
_STRONGEST = 1e6


@app.command
def add(
    name: str,
    /,
    *,
    role: list[RoleWord],
    address: list[str],
    classes: ClassOption = None,
    valid_minutes: int = 60,
    options: Writing = WRITING,
    session: Use,
) -> None:
    """Add a node, and get the token with which its machine joins.

    The token is shown this once.

    For example:
      roost node add ms1.cluster.test --role storage --address 192.0.2.11
      roost node add mx1.cluster.test --role mx --role dns --address 192.0.2.21
      roost node add ms4.cluster.test --role storage --address 192.0.2.14 --class gold

    Parameters
    ----------
    name
        Full host name of the machine.
    role
        What it does; give the option again for each further role.
    address
        IP address of the machine; give the option again for each further one.
    classes
        Class of service that it offers; give the option again for each further one.
    valid_minutes
        For how long the token lets it join.
    """
    _check_minutes(valid_minutes)
    node = Node.parse(name, list(role), address)
    new = NewNode(
        name=node.name,
        roles=sorted(node.roles),
        addresses=list(node.addresses),
        classes=_classes(classes) or [],
        valid_minutes=valid_minutes,
    )
    added = session.client().add_node(new, dry_run=options.dry_run)
    _show_token(session, session.out(options), added, node.name)
    settle(session, options, added, joining=node.name)


@app.command(name="list")
def list_(*, options: Common = COMMON, session: Use) -> None:
    """List the nodes.

    For example:
      roost node list
      roost node list --output json
    """
    out, found = session.out(options), session.client().nodes()
    if out.json:
        out.document(found)
    rows = [(n.name, roles_of(n), " ".join(n.addresses), state_of(n), n.mailboxes) for n in found]
    out.table(("NODE", "ROLES", "ADDRESSES", "STATE", "MAILBOXES"), rows)


@app.command
def show(name: str, /, *, options: Common = COMMON, session: Use) -> None:
    """Show one node: what it does, and how far it is.

    For example:
      roost node show ms1.cluster.test

    Parameters
    ----------
    name
        The node.
    """
    out, client = session.out(options), session.client()
    found = client.node(host_name(name, field="node"))
    if out.json:
        out.document(found)
    out.facts(
        [
            ("Node", found.name),
            ("Roles", roles_of(found)),
            ("Addresses", " ".join(found.addresses)),
            *([("Classes", " ".join(found.classes))] if found.classes else []),
            ("State", state_of(found)),
            *([("Since", found.since.isoformat(sep=" ", timespec="seconds"))] if found.since else []),
            ("Seen", found.seen.isoformat(sep=" ", timespec="seconds") if found.seen else "never"),
            ("Mailboxes", found.mailboxes),
            ("Health", health_of(found)),
            *_told(found),
            *((f"Has {table} to", revision) for table, revision in sorted(found.positions.items())),
        ]
    )
    if found.life is not Life.ACTIVE and not out.json:
        node_lives.show(out, client.drain(found.name))


@app.command(name="set")
def set_(
    name: str,
    /,
    *,
    role: list[RoleWord] | None = None,
    address: list[str] | None = None,
    cpu: float | None = None,
    io: float | None = None,
    memory: str | None = None,
    disk: str | None = None,
    classes: ClassOption = None,
    options: Writing = WRITING,
    session: Use,
) -> None:
    """Give a node other roles, addresses or classes of service, or declare how strong it is.

    What is given replaces all that it has: name every role that it is to keep. The packages of a new role are
    installed; the daemons of one that is gone are stopped. What is declared counts instead of what the node has
    measured itself ('roost node load'); 0 takes it back, and --class '' all classes.

    For example:
      roost node set ns2.cluster.test --role dns --role mx
      roost node set ms1.cluster.test --address 192.0.2.111
      roost node set ms1.cluster.test --role storage --dry-run
      roost node set ms1.cluster.test --cpu 8 --disk 4T
      roost node set ms1.cluster.test --class gold --class silver

    Parameters
    ----------
    name
        The node.
    role
        What it does; give the option again for each further role.
    address
        IP address of the machine; give the option again for each further one.
    cpu
        How many reference processors its processors are worth.
    io
        Synced writes that its disk does in a second.
    memory
        Its memory: 64G, or bytes.
    disk
        Its space for mail: 4T, or bytes.
    classes
        Class of service that it offers; give the option again for each further one.
    """
    node = host_name(name, field="node")
    declared = Declared(
        cpu=_strength(cpu, "cpu"),
        io=_strength(io, "io"),
        memory=None if memory is None else size(memory, field="memory"),
        disk=None if disk is None else size(disk, field="disk"),
    )
    said = bool(declared.model_dump(exclude_none=True))
    if not role and not address and not said and classes is None:
        raise BadSetting(
            "Nothing is to be changed.", field="role", remedy="Give --role, --address, --class, or --cpu."
        )
    change = NodeChange(
        roles=list(role) if role else None,
        addresses=address or None,
        declared=declared if said else None,
        classes=_classes(classes),
    )
    settle(session, options, session.client().change_node(node, change, dry_run=options.dry_run))


@app.command
def token(name: str, /, *, valid_minutes: int = 60, options: Common = COMMON, session: Use) -> None:
    """Get a fresh token with which a node joins, or joins anew.

    It is shown this once.

    For example:
      roost node token ms1.cluster.test
      roost node token ms1.cluster.test --valid-minutes 10 --output json

    Parameters
    ----------
    name
        The node.
    valid_minutes
        For how long the token lets it join.
    """
    _check_minutes(valid_minutes)
    node, out = host_name(name, field="node"), session.out(options)
    added = session.client().new_token(node, valid_minutes=valid_minutes)
    if out.json:
        out.document(added)
    _show_token(session, out, added, node)


app.command(node_lives.drain)
app.command(node_lives.undrain)
app.command(node_lives.retire)
app.command(load.of_node, name="load")
app.command(load.measure)


def _classes(given: list[str] | None) -> list[str] | None:
    return None if given is None else [name for text in given if (name := tie_name(text, field="class"))]


def _strength(value: float | None, field: str) -> float | None:
    if value is not None and not 0 <= value < _STRONGEST:
        raise BadSetting(f"{value:g} is too much or too little.", field=field, remedy="Give what the machine has.")
    return value


def _show_token(session: Session, out: Output, added: NodeAdded, name: str) -> None:
    if added.token:
        until = f"until {added.expires:%Y-%m-%d %H:%M %Z}" if added.expires else "once"
        out.note(f"The token of {name}, good {until}, shown only now:")
        out.say(added.token)
        out.note(f"On {name}, 'roost join {session.client().url}' asks for it on standard input.")


def _told(node: NodeView) -> list[tuple[str, object]]:
    """Return what the node told of itself last."""
    told = node.figures
    if told is None:
        return []
    facts: list[tuple[str, object]] = [
        ("Load", f"{told.load:.2f} for each processor"),
        ("Memory", f"{told.memory:.0%} available"),
        ("Disk", f"{told.disk_path} is {told.disk:.0%} full"),
    ]
    if told.queue is not None:
        facts.append(("Queue", f"{told.queue}, the oldest for {told.oldest} s"))
    if told.sessions is not None:
        facts.append(("Sessions", told.sessions))
    if told.certificate_ends is not None:
        facts.append(("Certificate", f"until {told.certificate_ends:%Y-%m-%d}"))
    return facts


def _check_minutes(minutes: int) -> None:
    if not 1 <= minutes <= _LONGEST_MINUTES:
        raise BadSetting(
            f"A token cannot be valid for {minutes} minutes.",
            field="valid_minutes",
            remedy=f"Give 1 to {_LONGEST_MINUTES}.",
        )
