"""Moving a mailbox by hand: what an administrator does without Roost's moves, with Dovecot's own tools.

*Raw*: one ``doveadm backup`` that pulls a mailbox from the other node over TLS. Its source is a Dovecot of its own
beside the node's, with a doveadm port and nothing else; it reads the same accounts and the same mail.

*The recipe* that is written elsewhere: close the mailbox, copy it whole, switch, open it again. Who wants to read his
mail meanwhile is refused.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from roost.lab.cluster import Cluster
from roost.lab.machine import Machine

_PORT = 12345
_SECRET = "between the two of us"  # noqa: S105 - of machines that live for minutes
_PLACE = "/var/vmail/raw"
_CONF = "/root/raw.conf"

_MORE = f"""
base_dir = /run/raw
state_dir = /var/lib/raw
protocols =
doveadm_password = {_SECRET}
service doveadm {{
  inet_listener raw {{
    port = {_PORT}
    ssl = yes
  }}
}}
"""

_TARGET = f"""dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
mail_driver = mdbox
mail_home = {_PLACE}
mail_path = %{{home}}/mdbox
mail_uid = vmail
mail_gid = vmail
doveadm_password = {_SECRET}
ssl_client_ca_file = /etc/roost/tls/ca.crt
mailbox_list_layout = fs
# As on the node: quota is counted and rights are looked at with every message that is saved.
mail_plugins {{
  quota = yes
  acl = yes
}}
acl_driver = vfile
quota "User quota" {{
}}
namespace inbox {{
  inbox = yes
  separator = /
}}
"""


@dataclass(frozen=True)
class Raw:
    """A pair of nodes between which ``doveadm backup`` pulls."""

    source: Machine
    target: Machine

    def pull(self, address: str) -> float:
        """Copy a mailbox whole into an empty place on the target; return the seconds."""
        self.target.run(["rm", "-rf", "--", _PLACE])
        self.target.run(["install", "-d", "-o", "vmail", "-g", "vmail", _PLACE])
        argv = ["runuser", "-u", "vmail", "--", "env", f"USER={address}", f"HOME={_PLACE}", "doveadm", "-c", _CONF]
        began = time.monotonic()
        # Exit status 2: something changed meanwhile, which a second run would take (doveadm-sync(1)).
        done = self.target.run(
            [*argv, "backup", "--no-userdb-lookup", "-R", f"tcps:{self.source.name}:{_PORT}"],
            timeout=1800,
            check=False,
        )
        assert done.returncode in (0, 2), done
        return time.monotonic() - began

    def put(self, address: str) -> None:
        """Put what was pulled into the home of an account on the target."""
        home = self.target.run(["doveadm", "user", "-f", "home", address]).stdout.strip()
        self.target.run(["rm", "-rf", "--", home])
        self.target.run(["install", "-d", "-o", "vmail", "-g", "vmail", home.rpartition("/")[0]])
        self.target.run(["mv", _PLACE, home])


@contextmanager
def raw(source: Machine, target: Machine) -> Iterator[Raw]:
    """Let the source answer pulls."""
    # Later settings win. (An included file may not begin with its version, so it is not included.)
    source.write(_CONF, source.read("/etc/dovecot/dovecot.conf") + _MORE, 0o600)
    target.write(_CONF, _TARGET, 0o644)
    target.run(["chmod", "755", "/root"])
    source.run(["systemd-run", "--unit=raw", "--collect", "dovecot", "-F", "-c", _CONF])
    _until_it_answers(source)
    try:
        yield Raw(source, target)
    finally:
        source.run(["systemctl", "stop", "raw.service"], check=False)


def _until_it_answers(source: Machine) -> None:
    deadline = time.monotonic() + 20
    while f":{_PORT} " not in source.run(["ss", "-Hltn"]).stdout:
        assert time.monotonic() < deadline, source.run(["journalctl", "-u", "raw", "-n", "20"]).stdout
        time.sleep(0.1)


def recipe(cluster: Cluster, pair: Raw, address: str, password: str) -> float:
    """Move a mailbox as the recipe says; return the seconds from closing to opening."""
    began = time.monotonic()
    cluster.roost("user", "suspend", address)
    pair.source.run(["doveadm", "kick", address], check=False)
    pair.pull(address)
    # Removed and added: without moves that is how an administrator changes the home.
    cluster.roost("user", "remove", address, "--yes")
    cluster.add_user(address, password, "--home", pair.target.name)
    pair.put(address)
    pair.target.run(["doveadm", "auth", "cache", "flush", address], check=False)
    return time.monotonic() - began
