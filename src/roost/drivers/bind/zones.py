"""The zone files: made where they are missing, emptied, set aside where damaged or no longer wanted; their apex.

A zone file is BIND's: named writes it from the journal now and then. The driver writes one only while named does
not use it: a new zone, a frozen one, or one that could not be loaded. ``roost.apex`` holds the records with which
each begins; NS and SOA of zones that exist are brought to it by update.

**Who may ask.** While a zone is empty because its snapshot is yet to come, an answer would be "no such name",
and wrong. So ``asking.conf`` then lets only loopback ask; the world is refused and goes to another server.
"""

from __future__ import annotations

import re
import struct
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.update

from roost.domain.errors import DaemonFailed
from roost.drivers.bind import wire
from roost.drivers.bind.link import Link
from roost.drivers.bind.place import Place
from roost.drivers.bind.records import REVISION_LABEL
from roost.ports.host import File, Host

_SERIAL = re.compile(r"\bSOA\s+\S+\s+\S+\s+\(?\s*(\d+)")
_APEX_SOA = re.compile(r"^@ (\d+) IN SOA (.+)$", re.MULTILINE)
_APEX_NS = re.compile(r"^@ (\d+) IN NS (\S+)$", re.MULTILINE)
_APEX_ADDRESS = re.compile(r"^(\S+)\. (\d+) IN (A|AAAA) (\S+)$", re.MULTILINE)
_OPEN = "// Written by roost. Everybody may ask.\nacl roost-asking { any; };\n"
_CLOSED = (
    "// Written by roost. The zones wait for their rows: until then the world is sent to other servers.\n"
    "acl roost-asking { 127.0.0.1; };\n"
)
_SERIAL_GAP = 2**20
"""Added to the serial of a file whose journal cannot be read, so that the new zone's is greater than any it had."""

_LOAD_SECONDS = 1800.0
_EMPTY_SECONDS = 60.0
_THAW_SECONDS = 3.0
_POLL_SECONDS = 0.05
_GRACE_SECONDS = 2.0
"""For how long a zone may be unloaded while BIND says that it is not loading any."""


@dataclass(frozen=True)
class Apex:
    """The records that should stand at the top of each zone."""

    ttl: int
    soa: tuple[str, ...]
    servers: frozenset[str]
    addresses: tuple[tuple[str, int, str, str], ...] = ()
    """Owner without final dot, TTL, type and address of every server."""

    def soa_data(self, serial: int) -> bytes:
        """Return the SOA's data with a serial number, modulo 2**32 (RFC 1035, 3.3.13)."""
        mname, rname, _serial, *times = self.soa
        figures = (serial % 2**32, *(int(each) for each in times))
        return wire.name_data(mname) + wire.name_data(rname) + struct.pack("!IIIII", *figures)

    def addresses_in(self, zone: str) -> tuple[tuple[str, int, str, str], ...]:
        """Return the addresses of servers that have their name in a zone: BIND does not load it without them."""
        return tuple(each for each in self.addresses if each[0].endswith(f".{zone}"))


def apex_of(host: Host, place: Place) -> Apex:
    """Read ``roost.apex``; raises ``DaemonFailed`` where it is not there."""
    file = host.read(place.apex)
    found = _APEX_SOA.search(file.content) if file else None
    if file is None or found is None:
        raise DaemonFailed(f"{place.apex} is missing or holds no SOA record.")
    names = frozenset(name for _ttl, name in _APEX_NS.findall(file.content))
    addresses = tuple((owner, int(ttl), kind, data) for owner, ttl, kind, data in _APEX_ADDRESS.findall(file.content))
    return Apex(int(found.group(1)), tuple(found.group(2).split()), names, addresses)


def soa_with(apex: Apex, origin: dns.name.Name, serial: int) -> dns.rrset.RRset:
    """Return the SOA record with a serial number, modulo 2**32."""
    mname, rname, _serial, *times = apex.soa
    text = " ".join((mname, rname, str(serial % 2**32), *times))
    return dns.rrset.from_text(origin, apex.ttl, "IN", "SOA", text)


def prepare(host: Host, place: Place, zones: Sequence[str]) -> None:
    """Make the files of zones that are new, before named sees them.

    A file left over from an earlier life of a zone is set aside, since nobody kept it up to date. One that was made
    and is gone stays gone here: named cannot load the zone, and so it is healed as a damaged one is.
    """
    made = _read_made(host, place)
    new = [zone for zone in zones if zone not in made]
    if host.read(place.asking) is None or zones[0] in new:
        _write_asking(host, place, _CLOSED)
    for zone in new:
        set_aside(place, zone, "old")
        seed(host, place, zone, 1)
    if new:
        _write_made(host, place, made.union(zones))


def seed(host: Host, place: Place, zone: str, serial: int) -> None:
    """Write the file of an empty zone, at revision 0, and remove its journal first: the file alone is a zone."""
    apex = apex_of(host, place)
    origin = dns.name.from_text(zone)
    lines = [
        "; Written by roost as the beginning of this zone; the rest comes by dynamic update.",
        soa_with(apex, origin, serial).to_text(),
        *(f"{origin} {apex.ttl} IN NS {server}" for server in sorted(apex.servers)),
        *(f"{owner}. {ttl} IN {kind} {data}" for owner, ttl, kind, data in apex.addresses_in(zone)),
        f'{REVISION_LABEL}.{origin} 0 IN TXT "0"',
    ]
    Path(f"{place.zone_file(zone)}.jnl").unlink(missing_ok=True)
    host.write(File(place.zone_file(zone), "\n".join(lines) + "\n", 0o644, place.owner))


def set_aside(place: Place, zone: str, why: str) -> None:
    """Rename a zone's file and journal, so that there is a way back by hand; only the last of a kind is kept."""
    path = Path(place.zone_file(zone))
    journal = Path(f"{path}.jnl")
    if path.exists():
        path.replace(f"{path}.{why}")
    if journal.exists():
        journal.replace(f"{path}.{why}.jnl")


def retire(host: Host, place: Place, zones: Sequence[str]) -> tuple[str, ...]:
    """Set aside the files of zones that named does not serve any more; return their names."""
    made = _read_made(host, place)
    gone = sorted(made.difference(zones))
    for zone in gone:
        set_aside(place, zone, "removed")
    if gone:
        _write_made(host, place, made.intersection(zones))
    return tuple(gone)


def settle(link: Link, zones: Sequence[str]) -> tuple[str, ...]:
    """Wait until named has loaded the zones; return those that it could not load.

    Raises where it does not answer, or refuses to: its configuration is wrong then, and the zones are not.
    """
    pending = tuple(zones)
    idle_since = time.monotonic()
    end = idle_since + _LOAD_SECONDS
    while True:
        try:
            pending = tuple(zone for zone in pending if link.code(zone) != dns.rcode.NOERROR)
            if not pending:
                return ()
            busy = "reload/reconfig in progress" in link.rndc("status").out
        except DaemonFailed:
            if time.monotonic() - idle_since > 5 * _GRACE_SECONDS:
                raise
        else:
            if busy:
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since > _GRACE_SECONDS or time.monotonic() > end:
                for zone in pending:
                    link.require_answer(zone)
                return pending
        time.sleep(_POLL_SECONDS)


def heal(host: Host, link: Link, place: Place, cluster_zone: str, broken: Iterable[str]) -> None:
    """Set damaged zones aside and begin them anew, empty; raises ``DaemonFailed`` where even that does not load.

    Before anything else the table's position is set to 0, so that every row is fed again wherever this is cut off;
    an emptied cluster's zone has that position by itself, and so is the first.
    """
    close(host, link, place)
    names = sorted(broken, key=lambda zone: zone != cluster_zone)
    if cluster_zone not in names:
        message = dns.update.UpdateMessage(cluster_zone)
        message.replace(REVISION_LABEL, 0, "TXT", '"0"')
        link.update(cluster_zone, message)
    for zone in names:
        serial = _serial_on_disk(place, zone) + _SERIAL_GAP
        set_aside(place, zone, "damaged")
        seed(host, place, zone, serial)
        link.rndc("reload", zone, check=False)
    still = settle(link, names)
    if still:
        raise DaemonFailed(f"BIND cannot load the zone {still[0]}, not even an empty one: see its log.")


def empty(host: Host, link: Link, place: Place, zones: Sequence[str]) -> None:
    """Empty all zones at once, the cluster's (the first) being marked before any other.

    Cut off anywhere, either nothing has happened, or the position is 0 at the next load.
    """
    close(host, link, place)
    serials = {zone: _next_serial(link, place, zone) for zone in zones}
    end = time.monotonic() + _EMPTY_SECONDS
    old = list(zones)
    while old:
        if time.monotonic() > end:
            raise DaemonFailed(f"BIND goes on with the old zone {old[0]}: see its log.")
        # A zone that is not loaded cannot be frozen, and need not be.
        link.rndc("freeze", check=False)
        for zone in old:
            seed(host, place, zone, serials[zone])
        link.rndc("thaw", check=False)
        for zone in settle(link, zones):
            link.rndc("reload", zone, check=False)
        still = settle(link, zones)
        if still:
            raise DaemonFailed(f"BIND cannot load the emptied zone {still[0]}: see its log.")
        old = _not_yet_served(link, serials)


def _not_yet_served(link: Link, serials: Mapping[str, int]) -> list[str]:
    """Return the zones whose serial is not served after a while.

    Thawing only begins to load: until it is done BIND answers from the old zone, and would take updates into it. And
    a dump of the old zone that was under way may end after the new file was written, and replace it.
    """
    end = time.monotonic() + _THAW_SECONDS
    while old := [zone for zone, serial in serials.items() if _serial_served(link, zone) != serial % 2**32]:
        if time.monotonic() > end:
            return old
        time.sleep(_POLL_SECONDS)
    return []


def bring_apex(link: Link, zone: str, apex: Apex) -> bool:
    """Bring NS and SOA of a served zone to what they should be; return whether anything had to change."""
    origin = dns.name.from_text(zone)
    soa = _answer(link, zone, origin, dns.rdatatype.SOA)
    servers = _answer(link, zone, origin, dns.rdatatype.NS)
    message = dns.update.UpdateMessage(origin)
    have = {rdata.to_text().lower() for rdata in servers}
    missing = apex.servers if servers.ttl != apex.ttl else apex.servers - have
    for owner, ttl, kind, data in apex.addresses_in(zone):
        # Its row in the table comes after the settings, and a zone that is loaded in between must be whole.
        if f"{owner}." in apex.servers - have:
            message.add(dns.name.from_text(owner), ttl, kind, data)
    for name in sorted(missing):
        message.add(origin, apex.ttl, "NS", name)
    for name in sorted(have - apex.servers):
        message.delete(origin, "NS", name)
    wanted = soa_with(apex, origin, (soa[0].serial + 1) or 1)
    if wanted[0].replace(serial=soa[0].serial) != soa[0] or soa.ttl != apex.ttl:
        message.add(origin, wanted)
    if not message.update:
        return False
    link.update(zone, message)
    return True


def revision_text(link: Link, zone: str) -> str:
    """Return the revision that a zone's TXT says, as text; '' for none, nonsense or a zone that is not loaded.

    Raises ``DaemonFailed`` where BIND does not answer or does not serve the zone.
    """
    answer = link.ask(f"{REVISION_LABEL}.{zone}", dns.rdatatype.TXT)
    if answer.rcode() in (dns.rcode.SERVFAIL, dns.rcode.NXDOMAIN):
        return ""
    if answer.rcode() != dns.rcode.NOERROR:
        raise DaemonFailed(f"BIND does not serve the zone {zone} yet.")
    texts = [rdata.to_text().strip('"') for rrset in answer.answer for rdata in rrset]
    return texts[0] if len(texts) == 1 and texts[0].isdecimal() else ""


def is_open(host: Host, place: Place) -> bool:
    """Say whether the world may ask."""
    file = host.read(place.asking)
    return file is not None and file.content == _OPEN


def open_(host: Host, link: Link, place: Place) -> None:
    """Let the world ask: the zones have their rows."""
    _write_asking(host, place, _OPEN)
    link.rndc("reconfig")


def close(host: Host, link: Link, place: Place) -> None:
    """Send the world to other servers until the zones have their rows."""
    if is_open(host, place):
        _write_asking(host, place, _CLOSED)
        link.rndc("reconfig")


def _write_asking(host: Host, place: Place, content: str) -> None:
    host.write(File(place.asking, content, 0o644, place.owner))


def _read_made(host: Host, place: Place) -> frozenset[str]:
    file = host.read(place.made)
    return frozenset(file.content.split()) if file else frozenset()


def _write_made(host: Host, place: Place, zones: Iterable[str]) -> None:
    host.write(File(place.made, "".join(f"{zone}\n" for zone in sorted(zones)), 0o644, place.owner))


def _next_serial(link: Link, place: Place, zone: str) -> int:
    served = _serial_served(link, zone)
    return _serial_on_disk(place, zone) + _SERIAL_GAP if served is None else served + 1


def _serial_served(link: Link, zone: str) -> int | None:
    """Return the serial with which BIND answers; None where it does not."""
    answer = link.ask(zone, dns.rdatatype.SOA)
    found = (rrset[0] for rrset in answer.answer if rrset.rdtype == dns.rdatatype.SOA)
    return next((int(soa.serial) for soa in found), None)


def _serial_on_disk(place: Place, zone: str) -> int:
    """Return the serial in a zone file's head; 0 where it cannot be read."""
    try:
        with Path(place.zone_file(zone)).open(encoding="utf-8", errors="replace") as stream:
            found = _SERIAL.search(stream.read(4096))
    except OSError:
        return 0
    return int(found.group(1)) if found else 0


def _answer(link: Link, zone: str, origin: dns.name.Name, kind: dns.rdatatype.RdataType) -> dns.rrset.RRset:
    answer = link.ask(zone, kind)
    found = answer.get_rrset(answer.answer, origin, dns.rdataclass.IN, kind)
    if found is None:
        raise DaemonFailed(f"BIND has no {kind.name} for the zone {zone}: {dns.rcode.to_text(answer.rcode())}.")
    return found
