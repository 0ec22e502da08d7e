"""What goes into the images: packages, and the small changes that make a Debian boot in half a second.

Pure values. Their text is part of the images' keys: change anything here and the images are built anew.
"""

from __future__ import annotations

from roost.lab.topology import Release

# Raised when the way of building changes without any of the values below.
REVISION = 5

BASE_PACKAGES: tuple[str, ...] = (
    "systemd", "systemd-sysv", "dbus", "iproute2", "iputils-ping", "python3", "nftables", "ca-certificates",
    "procps", "adduser", "netbase", "less",
)  # fmt: skip

# Everything that some role of a node needs, and the tools that tests and people use in a machine.
ROLE_PACKAGES: tuple[str, ...] = (
    "postfix", "postfix-lmdb",
    "dovecot-core", "dovecot-imapd", "dovecot-pop3d", "dovecot-lmtpd", "dovecot-sqlite", "dovecot-sieve",
    "dovecot-managesieved", "dovecot-submissiond", "dovecot-auth-lua",
    "bind9", "bind9-utils", "bind9-dnsutils", "unbound",
    "rspamd", "redis-server",
    "rsyslog", "rsyslog-relp", "rsyslog-gnutls", "rsyslog-openssl", "logrotate",
    "sqlite3", "openssl", "swaks", "curl", "lsof", "tcpdump",
)  # fmt: skip

# When rspamd starts for the first time, it translates the list of public suffixes for this processor: ten seconds of
# work, that three MX hosts would do beside each other at every start of a lab. What comes of it depends on that list
# alone, whatever else is set, so one start with these few settings leaves it in the image.
FILTER_SUFFIXES: dict[Release, str] = {
    "bookworm": "/usr/share/rspamd/effective_tld_names.dat",
    "trixie": "/usr/share/publicsuffix/effective_tld_names.dat",
}
FILTER_SOCKET = "/run/roost-lab-rspamd.sock"
FILTER_CONF = """
options { pidfile = "/run/roost-lab-rspamd.pid"; hs_cache_dir = "/var/lib/rspamd/"; url_tld = "%s";
          dns { nameserver = ["127.0.0.1"]; } }
logging { type = "console"; level = "warning"; }
actions { reject = 15; }
worker "controller" { bind_socket = "%s mode=0600"; count = 1; }
"""

# Units that a machine of the lab has no use for and that would only delay it: terminals, hardware, timers that
# reach for a mirror. Masked, so that no package turns them on again.
MASKED_UNITS: tuple[str, ...] = (
    "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service",
    "fstrim.timer", "man-db.timer", "motd-news.timer", "console-getty.service", "getty.target",
    "systemd-networkd-wait-online.service", "systemd-logind.service", "systemd-timesyncd.service",
    "systemd-udevd.service", "systemd-udev-trigger.service", "systemd-firstboot.service",
    "systemd-journal-catalog-update.service", "systemd-hwdb-update.service", "ldconfig.service",
    "systemd-binfmt.service", "systemd-pcrphase.service", "dev-hugepages.mount", "sys-fs-fuse-connections.mount",
    "sys-kernel-debug.mount", "sys-kernel-tracing.mount", "modprobe@.service",
)  # fmt: skip

# Path to content, in the base image. Manual pages and translations stay out: they are half of the unpacking.
BASE_FILES: dict[str, str] = {
    "etc/dpkg/dpkg.cfg.d/roost-lab": (
        "force-unsafe-io\npath-exclude=/usr/share/man/*\npath-exclude=/usr/share/locale/*\n"
        "path-exclude=/usr/share/doc/*\npath-include=/usr/share/doc/*/copyright\n"
        "path-include=/usr/share/doc/*/changelog.Debian.*\npath-exclude=/usr/share/info/*\n"
    ),
    "etc/apt/apt.conf.d/90roost-lab": (
        'APT::Install-Recommends "false";\nAcquire::Languages "none";\nAPT::Sandbox::User "root";\n'
    ),
    # Of a machine that is no node (a client); a node's own file comes after this one and says how large it may be.
    "etc/systemd/journald.conf.d/roost-lab.conf": "[Journal]\nStorage=volatile\nRuntimeMaxUse=32M\n",
    # A service that does not stop must not hold up a shutdown for a minute and a half.
    "etc/systemd/system.conf.d/roost-lab.conf": "[Manager]\nDefaultTimeoutStopSec=10s\n",
    "etc/apt/sources.list": "",
    "etc/resolv.conf": "",
}

# Inside a machine of flavour "bare": Debian's packages, and Roost's own. Both are folders of the host.
ARCHIVE_PLACE = "/srv/roost-lab/archive"
OWN_PLACE = "/srv/roost-lab/own"
BARE_SOURCES = f"deb [trusted=yes] file:{ARCHIVE_PLACE} ./\ndeb [trusted=yes] file:{OWN_PLACE} ./\n"


def base_recipe(release: Release) -> str:
    """The text whose hash names the base image."""
    return repr((REVISION, release, BASE_PACKAGES, MASKED_UNITS, sorted(BASE_FILES.items())))


def full_recipe(release: Release) -> str:
    """The text whose hash names the layer of role packages."""
    return repr((base_recipe(release), ROLE_PACKAGES, filter_conf(release)))


def filter_conf(release: Release) -> str:
    """Settings of rspamd for the one start in an image."""
    return FILTER_CONF % (FILTER_SUFFIXES[release], FILTER_SOCKET)
