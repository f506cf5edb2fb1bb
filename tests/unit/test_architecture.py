"""The rules on shape that import-linter and ruff cannot state."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import labthings_fastapi

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "labthings_fastapi"
MODULES = sorted(PACKAGE.rglob("*.py"))
MAX_LINES = 500

# Packages that may import the web framework, and those that use a whole server.
WEB_PACKAGES = {"dependencies", "bindings", "server"}
OUTSIDE = {"testing", "demo", "example_things"}
WEB_MODULES = {"routes"}

# Spelled in pieces, so that this file passes its own test.
REGISTRY_HOSTS = ("pypi" + ".org", "python" + "hosted.org", "anaconda" + ".org", "npm" + "js.")
MACHINE_PATH = re.compile(r"(?<![\w./-])/(?:root|work|Users|home/\w+)/\w")


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def needs_no_web(path: Path) -> bool:
    inside = path.relative_to(PACKAGE).with_suffix("")
    if inside.parts[0] in WEB_PACKAGES | OUTSIDE or inside.name in WEB_MODULES:
        return False
    return inside.as_posix() != "descriptors/injection"


def is_declaration(node: ast.stmt, *, root: bool) -> bool:
    """Return whether a statement of an `__init__.py` only names what is defined elsewhere."""
    match node:
        case ast.Import() | ast.ImportFrom():
            return True
        case ast.Expr(value=ast.Constant(value=str())):
            return True
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING"), orelse=[]):
            return all(is_declaration(inner, root=root) for inner in node.body)
        case ast.FunctionDef(name="__getattr__" | "__dir__"):
            return root
        case ast.Assign() | ast.AnnAssign():
            # The package's own `__init__.py` may have the table from which `__getattr__` reads.
            return root
        case _:
            return False


def tracked_text_files() -> list[Path]:
    """List what git tracks; outside a clone (an unpacked sdist) there is nothing to judge."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git clone")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()]


def test_a_module_has_no_more_lines_than_a_reader_can_hold() -> None:
    """Past the limit, ask which second thing the module has begun to do."""
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text("utf-8").splitlines())
        for path in MODULES
    }
    too_long = {name: lines for name, lines in lengths.items() if lines > MAX_LINES}
    assert not too_long, f"modules of more than {MAX_LINES} lines: {too_long}"


def test_init_modules_only_name_what_is_defined_elsewhere() -> None:
    """Only these may also load modules lazily (PEP 562): users wait for their import.

    Pytest imports `testing` at each of its starts, for the plugin.
    """
    lazy = (PACKAGE, PACKAGE / "testing")
    offences = [
        f"{path.relative_to(ROOT).as_posix()}:{node.lineno}"
        for path in MODULES
        if path.name == "__init__.py"
        for node in ast.parse(path.read_text("utf-8")).body
        if not is_declaration(node, root=path.parent in lazy)
    ]
    assert not offences, f"code in __init__.py: {offences}"


@pytest.mark.parametrize(
    ("source", "root", "allowed"),
    [
        ('"""Purpose."""\nfrom a import b\n__all__ = ["b"]', False, True),
        ("if TYPE_CHECKING:\n    from a import b", False, True),
        ("def __getattr__(name): ...", True, True),
        ("def __getattr__(name): ...", False, False),
        ("x = 1", False, False),
        ("def other(): ...", True, False),
        ("class A: ...", True, False),
    ],
)
def test_the_rule_on_init_modules_distinguishes_names_from_code(
    source: str, root: bool, allowed: bool
) -> None:
    nodes = ast.parse(source).body
    assert all(is_declaration(node, root=root) for node in nodes) is allowed


def test_ruff_requires_docstrings_for_the_documented_api() -> None:
    """The names that `import labthings_fastapi as lt` offers are the documented API."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    [documented] = [
        pattern
        for pattern in config["tool"]["ruff"]["lint"]["per-file-ignores"]
        if pattern.startswith("!")
    ]
    defined_in = {*labthings_fastapi._DEFINED_IN.values(), *labthings_fastapi._MODULES.values()}
    for module in defined_in:
        path = module.replace(".", "/")
        if (PACKAGE / path).is_dir():
            path += "/__init__"
        assert re.search(rf"[{{,]{path}[,}}]", documented), module


def test_contributing_names_only_paths_that_exist() -> None:
    """Modules move; the answers of CONTRIBUTING.md must move with them."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    named = re.findall(r"`([\w./-]+/[\w./-]*|[\w-]+\.(?:py|md|toml|svg))`", text)
    linked = re.findall(r"\]\(([^)#:]+)", text)
    assert len(named) > 20
    missing = [
        path
        for path in (*named, *linked)
        if not any((root / path).exists() for root in (ROOT, PACKAGE))
    ]
    assert not missing, f"CONTRIBUTING.md names what does not exist: {missing}"


def test_the_table_of_contributing_lists_the_packages() -> None:
    """Each package and each module beside them has one row, and no row is left over."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    table = text.partition("| package |")[2].partition("\n\n")[0]
    rows = [
        name
        for line in table.splitlines()[2:]
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    ]
    present = {
        path.stem
        for path in PACKAGE.iterdir()
        if path.stem[0] != "_" and path.suffix in ("", ".py")
    }
    assert sorted(rows) == sorted(present)


def test_the_picture_shows_the_layers_of_the_import_contract() -> None:
    """Each layer of pyproject.toml is a row of docs/architecture.svg, in the same order."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    layers = next(each["layers"] for each in contracts["contracts"] if each["id"] == "layers")
    picture = (ROOT / "docs" / "architecture.svg").read_text("utf-8")
    rows = [
        re.findall(r'text-anchor="middle">(\w+)<', row)
        for row in picture.split('<rect class="layer"')[1:]
    ]
    assert rows == [layer.split(" : ") for layer in layers]


def test_folders_with_modules_are_packages() -> None:
    """Without `__init__.py` import-linter would not see the modules inside."""
    missing = {
        path.parent.relative_to(ROOT).as_posix()
        for path in MODULES
        if not (path.parent / "__init__.py").exists()
    }
    assert not missing, f"folders without __init__.py: {sorted(missing)}"


def test_what_is_not_web_code_imports_without_a_web_framework() -> None:
    """The import contracts see direct imports; this sees what is really loaded."""
    names = sorted({module_name(path) for path in MODULES if needs_no_web(path)})
    program = (
        "import importlib, sys\n"
        "for name in ('fastapi', 'starlette'):\n"
        "    sys.modules[name] = None\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program, *names],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr


def test_tracked_files_name_no_registry_and_no_place_on_one_machine() -> None:
    """A user chooses the package index and the folder of an installation."""
    offences = [
        f"{path.relative_to(ROOT).as_posix()}:{number}: {line.strip()[:80]}"
        for path in tracked_text_files()
        for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), 1)
        if any(host in line for host in REGISTRY_HOSTS) or MACHINE_PATH.search(line)
    ]
    assert not offences, "\n".join(offences)
