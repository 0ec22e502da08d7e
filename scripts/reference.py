"""Writes the pages of the reference that are made from the code itself, so that they cannot say anything else.

===========================  ======================================================================
docs/reference/commands.md   every command, as its own help has it
docs/reference/api.md        every request of the controller's API, from its OpenAPI description
docs/reference/openapi.json  that description
docs/reference/errors.md     every error with its stable code, from the error trees
docs/reference/metrics.md    every metric, from the one list
===========================  ======================================================================

The pages are kept in the repository, so that they can be read there; ``scripts/docs`` writes them anew and
``tests/unit/test_house.py`` fails where one is out of date.
"""

from __future__ import annotations

import importlib
import inspect
import io
import json
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from cyclopts import App
from rich.console import Console

import roost
from roost.api.app import build
from roost.api.parts import Parts
from roost.api.wakeup import Wakeup
from roost.cli.output import exit_status
from roost.domain.errors import RoostError, every_error
from roost.domain.figures import CONTROLLER, EVERY_NODE, LOG, METRICS, MX, STORAGE, TELLERS
from roost.main.cli import command_line

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "reference"
_NOTE = "<!-- Written by scripts/reference.py from the code: change it there. -->"
_WIDTH = 96


# Commands


def commands(app: App | None = None, chain: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], App]]:
    """Yield every command that does something, with its words, in the order of the help."""
    app = app or command_line()
    for name in sorted(name for name in app if not name.startswith("-")):
        words = (*chain, name)
        below = [sub for sub in app[name] if not sub.startswith("-")]
        if below:
            yield from commands(app[name], words)
        else:
            yield words, app[name]


def commands_page() -> str:
    """Return the page of the commands."""
    app = command_line()
    parts = [_NOTE, "# Commands", _COMMANDS_HEAD]
    noun = ""
    for words, _ in commands(app):
        if words[0] != noun:
            noun = words[0]
            parts.append(f"## `roost {noun}`")
            if len(words) > 1:
                parts.append(_text(app[noun].help))
        if len(words) > 1:
            parts.append(f"### `roost {' '.join(words)}`")
        parts.append(f"```text\n{help_of(app, words)}\n```")
    return "\n\n".join(parts) + "\n"


def help_of(app: App, words: tuple[str, ...]) -> str:
    """Return what ``roost WORDS --help`` prints."""
    into = io.StringIO()
    console = Console(file=into, width=_WIDTH, force_terminal=False, color_system=None, highlight=False)
    app.help_print(list(words), console=console)
    return "\n".join(line.rstrip() for line in into.getvalue().strip().splitlines())


_COMMANDS_HEAD = """\
`roost` is the one command. Most of its commands speak to the controller's API and work on any machine that
has [its settings file](settings.md#etc-roost-cli-toml). `roost controller`, `roost agent` and `roost join`
work on the machine that they run on, as root; `roost lab` makes machines of its own.

**Output.** `--output table`, the default, is for people. Where standard output is no terminal, columns are
plain and never cut, so that `grep` and `awk` work. `--output json` prints one document, for programs.
Warnings and progress go to standard error.

**Writing commands** take `--dry-run`: everything is checked and told, nothing is changed. They wait until the
nodes have applied the change and print who has; `--no-wait` does not wait, `--timeout` says how long. A node
that is late or away is a warning, not a failure: the change is stored.

**Exit status.** 0: done. 1: refused or failed. 2: wrong input or usage. 3: temporary, so that trying later
can help. 130: interrupted. See [the errors](errors.md)."""


# The API


def openapi() -> dict[str, Any]:
    """Return the API's description."""
    # Describing it needs none of the parts that serving it does.
    parts = cast("Parts", SimpleNamespace(wakeup=Wakeup()))
    return build(parts).openapi()


def openapi_page() -> str:
    """Return the description as JSON."""
    return json.dumps(openapi(), indent=1, ensure_ascii=False) + "\n"


def api_page() -> str:
    """Return the page of the API."""
    found = openapi()
    parts = [_NOTE, "# API", _API_HEAD.format(version=roost.__version__)]
    for tag in dict.fromkeys(tag for _, _, call in _calls(found) for tag in call["tags"]):
        parts.append(f"## {tag.capitalize()}")
        rows = ["| request | what it does | body | answer |", "|---|---|---|---|"]
        for method, path, call in _calls(found):
            if tag in call["tags"]:
                asked = [p for p in call.get("parameters", []) if p["in"] == "query"]
                query = f"<br>{', '.join(_parameter(p) for p in asked)}" if asked else ""
                what = _first_line(call.get("description", call["summary"])) + query
                rows.append(f"| `{method.upper()} {path}` | {what} | {_body(call)} | {_answer(call)} |")
        parts.append("\n".join(rows))
    parts += ["## Models", "Fields without a default must be given. Unknown fields are refused."]
    for name, model in sorted(found["components"]["schemas"].items()):
        if name in _FOREIGN_MODELS:
            continue
        parts.append(f"### {name}")
        if model.get("description"):
            parts.append(_prose(model["description"]))
        if "enum" in model:
            parts.append(f"One of: {', '.join(f'`{value}`' for value in model['enum'])}.")
        fields = model.get("properties", {})
        if fields:
            rows = ["| field | type | default |", "|---|---|---|"]
            for field, shape in fields.items():
                default = "" if field in model.get("required", []) else f"`{json.dumps(shape.get('default'))}`"
                rows.append(f"| `{field}` | {_type(shape)} | {default} |")
            parts.append("\n".join(rows))
    return "\n\n".join(parts) + "\n"


_FOREIGN_MODELS = {"HTTPValidationError", "ValidationError"}  # faults are told as Problem instead

_API_HEAD = """\
The controller of version {version} serves this over HTTPS, by default on port 8443. The same as JSON:
{{download}}`openapi.json`; a running controller has it at `/openapi.json`.

**Requests below `/v1`** are for administrators and their programs. They show a key, made by `roost key add`:

```sh
curl --cacert /etc/roost/controller-ca.crt -H "Authorization: Bearer $(cat /etc/roost/admin.key)" \\
    https://control.example.net:8443/v1/status
```

**`/metrics`** is for a monitoring system, with a key or a certificate for monitoring; see
[how](../howto/monitoring.md).

**Requests below `/agent`** are for the nodes' agents. They need the node's identity certificate, except the
first two, with which a node joins.

**Writes** take `?dry_run=true`. They answer with `Written`: its `revision` leads to the receipt, `GET
/v1/receipts/REVISION?wait=10`.

**Failures** are `application/problem+json` (RFC 9457): the model `Problem`, with a stable `code`; see [the
errors](errors.md)."""


def _calls(found: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in found["paths"].items():
        for method, call in methods.items():
            yield method, path, call


def _parameter(parameter: Mapping[str, Any]) -> str:
    default = parameter["schema"].get("default")
    shown = "" if default in (None, "", False) else f" = {default}"
    return f"`?{parameter['name']}`{shown}"


def _body(call: Mapping[str, Any]) -> str:
    content = call.get("requestBody", {}).get("content", {})
    for media in content.values():
        return _type(media["schema"])
    return ""


def _answer(call: Mapping[str, Any]) -> str:
    content = call["responses"]["200"].get("content", {})
    for media in content.values():
        return _type(media.get("schema", {}))
    return ""


def _type(shape: Mapping[str, Any]) -> str:
    """Return a schema's type in a few words."""
    if "$ref" in shape:
        name = shape["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in shape:
        return " or ".join(_type(part) for part in shape["anyOf"])
    if "prefixItems" in shape:
        return f"({', '.join(_type(part) for part in shape['prefixItems'])})"
    kind = shape.get("type", "anything")
    if kind == "array":
        return f"list of {_type(shape.get('items', {}))}"
    if kind == "object" and "additionalProperties" in shape and isinstance(shape["additionalProperties"], dict):
        return f"map to {_type(shape['additionalProperties'])}"
    limits = [f"{words} {shape[name]}" for name, words in _LIMITS.items() if name in shape]
    if "pattern" in shape:
        choices = shape["pattern"].strip("^$()").split("|")
        limits.append(" or ".join(f"`{choice}`" for choice in choices))
    known = {"integer": "whole number", "string": "text", "boolean": "true or false", "null": "null"}
    name = "time" if shape.get("format") == "date-time" else known.get(kind, kind)
    return f"{name}, {', '.join(limits)}" if limits else name


_LIMITS = {
    "minimum": "at least",
    "maximum": "at most",
    "minLength": "of length at least",
    "maxLength": "of length at most",
}


# Errors

_TREE = "roost.domain.errors"


def all_errors() -> tuple[type[RoostError], ...]:
    """Return every error class of the whole program: the tree of the domain, then the others by code."""
    for module in pkgutil.walk_packages(roost.__path__, "roost."):
        if not module.name.startswith(("roost.lab.remote", "roost.store.migrations")):
            importlib.import_module(module.name)
    ours = [kind for kind in every_error() if kind.__module__.startswith("roost.")]
    tree = [kind for kind in ours if kind.__module__ == _TREE]
    return (*tree, *sorted((kind for kind in ours if kind.__module__ != _TREE), key=lambda kind: kind.code))


def errors_page() -> str:
    """Return the page of the errors: one table for what has a code of its own."""
    rows = ["| code | class | HTTP | exit | try again? | meaning |", "|---|---|---|---|---|---|"]
    for kind in all_errors():
        if "code" not in vars(kind):
            continue
        instance = kind.__new__(kind)
        meaning = _first_line(inspect.getdoc(kind) or "")
        again = "no" if kind.permanent else "yes"
        name = kind.__name__ if kind.__module__ == _TREE else f"{kind.__name__} ({_room(kind)})"
        rows.append(f"| `{kind.code}` | {name} | {kind.status} | {exit_status(instance)} | {again} | {meaning} |")
    tree = inspect.getdoc(importlib.import_module(_TREE)) or ""
    drawn = inspect.cleandoc(tree.partition("::\n")[2].partition("\n\n``code``")[0])
    return "\n\n".join([_NOTE, "# Errors", _ERRORS_HEAD, "\n".join(rows), f"```text\n{drawn}\n```"]) + "\n"


def _room(kind: type) -> str:
    return kind.__module__.split(".")[1]


_ERRORS_HEAD = """\
Every refusal and failure has a **code** that stays what it is from version to version. The API returns it in
`code`, the command line with `--output json` too; programs should test the code, never the sentence. Beside
it stand `detail` (what is wrong), `remedy` (what to do), `field` (which input) and, for an import, `findings`
with line and column.

*Try again?* says whether the same call may succeed later without any change. *Exit* is the status of the
command. Codes of the rooms `lab` and `agent` are met there only."""


# Metrics


def metrics_page() -> str:
    """Return the page of the metrics: a table for each who tells them."""
    parts = [_NOTE, "# Metrics", _METRICS_HEAD]
    for teller in TELLERS:
        rows = ["| metric | kind | labels | meaning |", "|---|---|---|---|"]
        for metric in METRICS.values():
            if metric.teller == teller:
                labels = ", ".join(f"`{label}`" for label in metric.labels)
                bounds = f" Bounds: {', '.join(f'{bound:g}' for bound in metric.bounds)} s." if metric.bounds else ""
                rows.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.words}{bounds} |")
        parts += [f"## {_TELLERS[teller]}", "\n".join(rows)]
    return "\n\n".join(parts) + "\n"


_TELLERS = {
    EVERY_NODE: "Every node",
    MX: "MX and backup MX",
    STORAGE: "Storage nodes",
    LOG: "Log nodes",
    CONTROLLER: "The controller",
}

_METRICS_HEAD = """\
What agents serve at port 8447, and the controller at its own; [how to read it](../howto/monitoring.md). Times
are in seconds, sizes in bytes. Counters begin at 0 with the agent or the controller. `home`, `mx`, `node` and
`sender` are names of nodes; `home` may also be `outside`. No label holds a user, an address, or the name of a
foreign server."""


# Text


def _text(text: str) -> str:
    return " ".join(text.split())


def _first_line(text: str) -> str:
    """Return the first paragraph as one line, with code marked as Markdown does."""
    return _prose(text.partition("\n\n")[0])


def _prose(text: str) -> str:
    return _text(text).replace("``", "`").replace("|", "\\|")


PAGES: Mapping[str, Callable[[], str]] = {
    "commands.md": commands_page,
    "api.md": api_page,
    "openapi.json": openapi_page,
    "errors.md": errors_page,
    "metrics.md": metrics_page,
}


def main() -> int:
    """Write every page that differs."""
    for name, page in PAGES.items():
        path, text = FOLDER / name, page()
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            sys.stdout.write(f"{path.relative_to(ROOT)} written\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
