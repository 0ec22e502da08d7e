"""Documentation and code say the same: nothing is undocumented, nothing is made up.

The pages that are written from the code must be what ``scripts/reference.py`` would write now. The pages that people
write must name every policy setting and every key of a settings file, and none that does not exist. Files, functions
and links that a page names must be there.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pytest

import roost
from roost.cli import settings as cli_settings
from roost.domain.cluster import Policy, Role
from roost.main.settings import AgentSettings, ControllerSettings
from roost.wire.resources import PolicyView

ROOT = Path(roost.__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "roost"
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
DRIVERS = sorted(path for path in (SOURCE / "drivers").iterdir() if (path / "__init__.py").exists())
PAGES = sorted(
    [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *SOURCE.rglob("*.md"), *(ROOT / "packaging").glob("*.md")],
)
PAGES = [page for page in PAGES if "_build" not in page.parts]

_FENCE = re.compile(r"^( *)(```|:::).*?^\1\2", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_FOLDERS = ("src", "docs", "tests", "scripts", "packaging", "bench")
_ROW = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)


def name_of(page: Path) -> str:
    """Return a page's path for the name of a test."""
    return page.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """The script that writes the reference."""
    spec = importlib.util.spec_from_file_location("reference", ROOT / "scripts" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def section(page: Path, heading: str) -> str:
    """Return the text below a heading, up to the next of the same level."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", page.read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"{name_of(page)} has no section {heading!r}"
    return found.group(1)


# What is written from the code


@pytest.mark.parametrize("name", ["commands.md", "api.md", "openapi.json", "errors.md"])
def test_generated_pages_are_current(reference: ModuleType, name: str) -> None:
    """``scripts/docs`` writes them anew."""
    assert (REFERENCE / name).read_text() == reference.PAGES[name](), f"{name} is out of date: run scripts/docs"


def test_every_command_is_documented(reference: ModuleType) -> None:
    """Each has its place in the reference, and a sentence that says what it does."""
    headings = re.findall(r"^##+ `roost (.*)`$", (REFERENCE / "commands.md").read_text(), re.MULTILINE)
    for words, command in reference.commands():
        assert " ".join(words) in headings
        assert (command.help or "").strip(), f"roost {' '.join(words)} does not say what it does"
        said = reference.help_of(reference.command_line(), words)
        assert words[0] == "lab" or "\nFor example:\n" in said, f"roost {' '.join(words)} shows no example"


def test_every_parameter_of_a_command_is_explained(reference: ModuleType) -> None:
    """A person who asks for help is told what each word is for."""
    for words, command in reference.commands():
        for argument in command.assemble_argument_collection(parse_docstring=True):
            shown = argument.show and argument.parse
            assert not shown or argument.parameter.help, f"roost {' '.join(words)}: {argument.name}"


def test_every_error_code_is_documented(reference: ModuleType) -> None:
    """Programs test the codes, so each stands in the reference, once."""
    listed = _ROW.findall((REFERENCE / "errors.md").read_text())
    codes = [kind.code for kind in reference.all_errors() if "code" in vars(kind)]
    assert sorted(listed) == sorted(codes)
    for kind in reference.all_errors():
        assert kind.__doc__, kind


def test_every_route_of_the_api_is_documented(reference: ModuleType) -> None:
    """Each request stands in the reference and says what it does."""
    listed = set(re.findall(r"^\| `([A-Z]+ /[^`]*)` \| \S", (REFERENCE / "api.md").read_text(), re.MULTILINE))
    found = reference.openapi()["paths"]
    assert listed == {f"{method.upper()} {path}" for path, methods in found.items() for method in methods}
    for path, methods in found.items():
        for method, call in methods.items():
            assert call.get("description"), f"{method} {path} has no docstring"


# What people write


def test_every_policy_setting_is_documented() -> None:
    """With its default; and what is documented exists."""
    page = (REFERENCE / "policy.md").read_text()
    assert set(_ROW.findall(page)) == {field.name for field in fields(Policy)} == set(PolicyView.model_fields)
    for field in fields(Policy):
        default = "none" if field.default == () else str(field.default)
        if isinstance(field.default, bool):
            default = "yes" if field.default else "no"
        row = next(line for line in page.splitlines() if line.startswith(f"| `{field.name}` |"))
        assert default in row.split("|")[2], f"{field.name}: the default is {default}"


def test_every_policy_setting_is_in_the_help(reference: ModuleType) -> None:
    """``roost policy set --help`` lists them."""
    text = dict(reference.commands())["policy", "set"].help
    for field in fields(Policy):
        assert re.search(rf"^\s*{field.name}\s", text, re.MULTILINE), field.name


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/etc/roost/controller.toml", [field.name for field in fields(ControllerSettings)]),
        ("/etc/roost/agent.toml", [field.name for field in fields(AgentSettings)]),
        ("/etc/roost/cli.toml", list(cli_settings._KNOWN)),
    ],
)
def test_every_key_of_a_settings_file_is_documented(path: str, names: list[str]) -> None:
    """In the section of its file; and what is documented exists."""
    assert sorted(_ROW.findall(section(REFERENCE / "settings.md", path))) == sorted(names)


def test_every_role_is_documented() -> None:
    """What a node can be."""
    listed = _ROW.findall((REFERENCE / "roles-and-ports.md").read_text().partition("## Ports")[0])
    assert sorted(listed) == sorted(Role)


@pytest.mark.parametrize("folder", DRIVERS, ids=lambda path: path.name)
def test_every_driver_has_a_readme(folder: Path) -> None:
    """All in one form: what it owns, what it never touches, which daemon; and the documentation holds it."""
    page = folder / "README.md"
    assert page.exists()
    text = page.read_text()
    assert text.startswith(f"# {folder.name}: ")
    for word in ("Where:", "Daemon:", "Owns:", "Never touches:"):
        assert f"**{word}**" in text, word
    assert f"src/roost/drivers/{folder.name}/README.md" in (REFERENCE / "drivers.md").read_text()


@pytest.mark.parametrize("folder", DRIVERS, ids=lambda path: path.name)
def test_a_drivers_readme_names_its_files(folder: Path) -> None:
    """Whoever reads it knows where to look; files that it names are there."""
    text = (folder / "README.md").read_text()
    for path in folder.glob("*.py"):
        assert path.name == "__init__.py" or f"`{path.name}`" in text, path.name


def test_decisions_are_numbered() -> None:
    """One after the other; the list holds all of them, and each begins with its number."""
    files = sorted(path.stem for path in (DOCS / "decisions").glob("0*.md"))
    assert [int(name[:4]) for name in files] == list(range(1, len(files) + 1))
    listed = re.findall(r"^(0\d{3}-\S+)$", (DOCS / "decisions" / "index.md").read_text(), re.MULTILINE)
    assert listed == files
    for name in files:
        assert (DOCS / "decisions" / f"{name}.md").read_text().startswith(f"# {int(name[:4])}. "), name


# What pages name


def prose(page: Path) -> str:
    """Return a page without what stands between fences: other machines' files and output are there."""
    return _FENCE.sub("", page.read_text())


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    """Every link to a file of ours; anchors inside the documentation are checked by Sphinx."""
    for target in _LINK.findall(prose(page)):
        if not target.startswith(("https://", "#")):
            path = target.partition("#")[0]
            assert (page.parent / path).exists(), f"{name_of(page)}: {target}"


def named_files(page: Path) -> Iterator[tuple[str, Path]]:
    """Yield what a page says in code type that looks like a file of ours, with the place where it should be."""
    for text in _CODE.findall(prose(page)):
        words = text.split()[0].rstrip(":") if text.split() else ""
        if re.search(r"[A-Z]{4,}/|/[A-Z]{4,}$|NNNN|\*|=", words):
            continue  # a placeholder, or a pattern
        if words.split("/")[0] in _FOLDERS and "/" in words:
            yield text, ROOT / words
        elif re.fullmatch(r"[a-z_]+(/[a-z0-9_]+)+\.py", words):
            yield text, SOURCE / words
        elif re.fullmatch(r"[A-Z]+\.md|pyproject\.toml|requirements[\w-]*\.lock", words):
            yield text, ROOT / words


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_named_files_exist(page: Path) -> None:
    """A file that is renamed is renamed in the documentation too."""
    for text, path in named_files(page):
        assert path.exists(), f"{name_of(page)}: {text}"


@pytest.mark.parametrize("page", [ROOT / "ARCHITECTURE.md", DOCS / "flow.md"], ids=name_of)
def test_named_functions_exist(page: Path) -> None:
    """Where a page says ``path.py: name`` or `` `path.py` `name` ``, the file defines the name."""
    pairs = re.findall(r"`([a-z0-9_/]+\.py)(?:: |`\s+`)([A-Za-z_.]+)`", prose(page))
    assert pairs
    for path, name in pairs:
        file = ROOT / path if path.startswith("src/") else SOURCE / path
        for part in name.split("."):
            assert re.search(rf"\b(def|class) {part}\b", file.read_text()), f"{path}: {name}"


def test_the_first_commands_of_the_readme() -> None:
    """The two commands that do everything stand at its very top, and are there."""
    top = (ROOT / "README.md").read_text().split("## ", 1)[0].split("Roost runs", 1)[0]
    for command in ("scripts/lab", "scripts/test"):
        assert f"\n    {command} " in top
        assert (ROOT / command).stat().st_mode & 0o111


# Sources


def sources() -> list[Path]:
    """Return every Python file of the project."""
    folders = [ROOT / name for name in ("src", "tests", "scripts", "bench", "docs")]
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def test_every_source_file_begins_with_its_manual() -> None:
    """The top of a file says what it is; an empty file needs none."""
    without = [
        name_of(path)
        for path in sources()
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not without


def test_rooms_in_the_architecture_are_those_in_the_contracts() -> None:
    """The table of rooms and the layers of the import contracts say the same."""
    layers = re.search(r"layers = \[(.*?)\]", (ROOT / "pyproject.toml").read_text(), re.DOTALL)
    assert layers
    contract = [line.split(" | ") for line in re.findall(r'"([^"]+)"', layers.group(1))]
    rows = re.findall(r"^\| ((?:`\w+`(?: · )?)+) \|", section(ROOT / "ARCHITECTURE.md", "The rooms"), re.MULTILINE)
    assert [re.findall(r"`(\w+)`", row) for row in rows] == contract
