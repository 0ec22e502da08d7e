"""The images that machines start from: layers of directories, built once and then only mounted.

::

    <cache>/images/<release>/base-<key>/                 a small Debian (debootstrap)
                             full-<key>/                 + the packages of every role, services off, and
                                                           what their first start would only prepare
                             roost-<key>/                + Roost's own package
    <cache>/archive/<release>/                           the packages of "full", with an index, for bare machines
    <cache>/own/<release>/<key>/                         Roost's own package, with an index
    <cache>/lock-<release>

A machine of flavour ``bare`` is mounted on base; ``plain`` on full and base; ``roost`` on all three. A key is the
hash of all that went in, so an image is never changed, only replaced. All of it is a cache: deleting it costs time
and nothing else. ``<cache>`` is /var/cache/roost-lab, or what ``ROOST_LAB_CACHE`` says.

An image is built under a temporary name and renamed when it is whole; one builder at a time per release holds the
lock, and whoever waited finds the image made. The host's package sources are used while an image is built and
removed from it (:mod:`roost.lab.mirror`). Packages start no services there (policy-rc.d), and whatever units they
have switched on are switched off again: to turn a role's services on is the business of the agent.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path

from roost.lab import mirror, recipe
from roost.lab.archive import write_index
from roost.lab.building import AptProgress, Progress, Workshop, apart, silent, stream
from roost.lab.debian_package import OwnPackage, own_package
from roost.lab.state import locked
from roost.lab.topology import Flavour, Release


def cache_dir() -> Path:
    """Where images and packages are kept."""
    return Path(os.environ.get("ROOST_LAB_CACHE", "/var/cache/roost-lab"))


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


class Images:
    """The images of one release."""

    def __init__(self, release: Release, progress: Progress = silent) -> None:
        self.release = release
        self._progress = progress
        self._cache = cache_dir()
        self._images = self._cache / "images" / release
        self.archive = self._cache / "archive" / release
        self.base = self._images / f"base-{_key(recipe.base_recipe(release))}"
        self.full = self._images / f"full-{_key(recipe.full_recipe(release))}"

    def ensure(self, flavours: Collection[Flavour], *, in_use: Iterable[str] = ()) -> dict[Flavour, list[Path]]:
        """Build what is missing for these flavours; return the layers of each, the topmost first.

        ``in_use`` are layers that running labs are mounted on: outdated ones are removed, but never those.
        """
        with locked(self._cache / f"lock-{self.release}"):
            layers: dict[Flavour, list[Path]] = {}
            self._sweep()
            self._ensure_base()
            if "bare" in flavours or "plain" in flavours or "roost" in flavours:
                self._ensure_full()
            if "bare" in flavours:
                layers["bare"] = [self.base]
            if "plain" in flavours:
                layers["plain"] = [self.full, self.base]
            if "roost" in flavours:
                layers["roost"] = [self._ensure_roost(), self.full, self.base]
            for used in {layer for stack in layers.values() for layer in stack}:
                os.utime(used)
            for stem in ("base", "full", "roost"):
                self._forget_old(stem, set(in_use))
            return layers

    def own(self) -> Path:
        """The folder with Roost's own package and its index, for bare machines."""
        with locked(self._cache / f"lock-{self.release}"):
            return self._own_package().path.parent

    def _own_package(self) -> OwnPackage:
        return own_package(self.release, self._cache / "own" / self.release, self._progress)

    def _sweep(self) -> None:
        """Remove what an interrupted builder has left; nobody else can be building, for we hold the lock."""
        self._images.mkdir(parents=True, exist_ok=True)
        for left in self._images.glob("*.building"):
            shutil.rmtree(left)

    def _ensure_base(self) -> None:
        if self.base.exists():
            return
        self._progress(f"{self.release}: making a base image", 0.0)
        found = mirror.of_host()
        building = self.base.with_name(self.base.name + ".building")
        count = 0

        def on_line(line: str) -> None:
            nonlocal count
            if line.startswith("I: "):
                # debootstrap says about six lines a package, of about 130 packages.
                count += 1
                self._progress(f"{self.release}: {line[3:].lower()}", min(0.85, count / 800))

        debootstrap = [
            "debootstrap", "--variant=minbase", f"--include={','.join(recipe.BASE_PACKAGES)}",
            self.release, str(building), found.main,
        ]  # fmt: skip
        stream(apart(debootstrap), on_line=on_line)
        for path, content in recipe.BASE_FILES.items():
            place = building / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(content)
        (building / "etc" / "resolv.conf").touch()
        shop = Workshop(building)
        self._progress(f"{self.release}: security updates", 0.88)
        with _sources(building, found, self.release):
            shop.run(["apt-get", "-q", "update"])
            shop.run(["apt-get", "-q", "-y", "dist-upgrade"])
        shop.run(["apt-get", "clean"])
        shop.run(["systemctl", "mask", *recipe.MASKED_UNITS])
        shop.run(["systemctl", "set-default", "multi-user.target"])
        for bulk in ("usr/share/man", "usr/share/locale", "usr/share/info", "var/lib/apt/lists"):
            shutil.rmtree(building / bulk, ignore_errors=True)
            (building / bulk).mkdir()
        for name in ("etc/hostname", "etc/hosts", "etc/machine-id"):
            (building / name).unlink(missing_ok=True)
        _finish(shop)
        building.rename(self.base)

    def _ensure_full(self) -> None:
        if self.full.exists() and (self.archive / "Packages").exists():
            return
        self._progress(f"{self.release}: installing the packages of all roles", 0.0)
        found = mirror.of_host()
        self.archive.mkdir(parents=True, exist_ok=True)
        building = self.full.with_name(self.full.name + ".building")
        shop = Workshop(building, layers=[self.base], binds=[(self.archive, "/var/cache/apt/archives")])
        before = _enabled(shop)
        upper = building / "upper"
        policy = upper / "usr/sbin/policy-rc.d"
        policy.parent.mkdir(parents=True, exist_ok=True)
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
        with _sources(upper, found, self.release):
            shop.run(["apt-get", "-q", "update"])
            title = f"{self.release}: installing"
            install = ["apt-get", "-q", "-y", "install", "--no-install-recommends", *recipe.ROLE_PACKAGES]
            shop.run(install, on_line=AptProgress(title, self._progress, 0.05, 0.9))
        policy.unlink()
        if switched_on := sorted(_enabled(shop) - before):
            shop.run(["systemctl", "disable", *switched_on])
        self._progress(f"{self.release}: translating the filter's patterns", 0.9)
        _translate_patterns(shop, upper, self.release)
        shutil.rmtree(upper / "var/lib/apt/lists", ignore_errors=True)
        self._progress(f"{self.release}: index of packages", 0.93)
        write_index(self.archive)
        _finish(shop)
        if self.full.exists():
            shutil.rmtree(self.full)
        upper.rename(self.full)
        shutil.rmtree(building)

    def _forget_old(self, stem: str, in_use: set[str]) -> None:
        """Remove the layers of a kind but the last two that were used: two checkouts may take turns."""
        for outdated in sorted(self._images.glob(f"{stem}-*"), key=lambda path: path.stat().st_mtime)[:-2]:
            if str(outdated) not in in_use:
                shutil.rmtree(outdated)

    def _ensure_roost(self) -> Path:
        package = self._own_package()
        # Installing depends on the layers below as well: they are part of the name.
        layer = self._images / f"roost-{_key(package.digest + self.full.name)}"
        if not layer.exists():
            self._progress(f"{self.release}: installing {package.path.name}", None)
            building = layer.with_name(layer.name + ".building")
            binds = [(package.path.parent, "/srv/roost-lab")]
            shop = Workshop(building, layers=[self.full, self.base], binds=binds)
            before = _enabled(shop)
            shop.run(["dpkg", "-i", f"/srv/roost-lab/{package.path.name}"])
            if switched_on := sorted(_enabled(shop) - before):
                shop.run(["systemctl", "disable", *switched_on])
            _finish(shop)
            (building / "upper").rename(layer)
            shutil.rmtree(building)
        return layer


class _sources:  # noqa: N801 - read as a statement: with _sources(...)
    """The host's package sources, put into a root for the time of one block."""

    def __init__(self, root: Path, found: mirror.Mirror, release: Release) -> None:
        apt = root / "etc/apt"
        self._texts = {
            apt / "sources.list": found.sources(release),
            apt / "apt.conf.d/99roost-lab-build": "\n".join(
                [*found.settings, 'APT::Keep-Downloaded-Packages "true";', 'Dpkg::Use-Pty "false";', ""]
            ),
        }

    def __enter__(self) -> None:
        for path, text in self._texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def __exit__(self, *_: object) -> None:
        sources, settings = self._texts
        sources.write_text("")
        settings.unlink()


_START_AND_STOP = (
    'set -e; rspamd -f -u _rspamd -g _rspamd -c "$1" & daemon=$!; '
    'curl -sS -o /dev/null --retry 120 --retry-delay 1 --retry-all-errors --unix-socket "$2" http://localhost/ping; '
    "kill $daemon; wait $daemon"
)


def _translate_patterns(shop: Workshop, upper: Path, release: Release) -> None:
    """Start rspamd until it answers; see :data:`roost.lab.recipe.FILTER_CONF`."""
    conf = upper / "etc/roost-lab-rspamd.conf"
    conf.write_text(recipe.filter_conf(release))
    shop.run(["sh", "-c", _START_AND_STOP, "sh", "/etc/roost-lab-rspamd.conf", recipe.FILTER_SOCKET])
    conf.unlink()


def _enabled(shop: Workshop) -> set[str]:
    """The units that would be started at boot."""
    argv = ["systemctl", "list-unit-files", "--state=enabled", "--no-legend", "--no-pager"]
    return {line.split()[0] for line in shop.run(argv).splitlines() if line.strip()}


def _finish(shop: Workshop) -> None:
    """Tell systemd that /etc and /var fit /usr, or every boot would first look for what has changed in between.

    These are the marks of systemd-update-done(8), which Debian 12 does not have.
    """
    shop.run(["touch", "/etc/.updated", "/var/.updated"])
