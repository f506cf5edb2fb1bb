"""A missing library of the demo extra is explained."""

from __future__ import annotations

import subprocess
import sys

import pytest

from labthings_fastapi.demo.extra import demo_extra


def test_a_missing_library_is_named_with_the_remedy():
    remedy = r"no_such_library.*extra 'demo' \(in the checkout: pip install '\.\[demo\]'\)"
    with pytest.raises(ImportError, match=remedy) as error, demo_extra():
        import no_such_library  # noqa: F401
    assert error.value.name == "no_such_library"


def run(code):
    """Run code in a fresh interpreter."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("module", "library"), [("optics", "numpy"), ("specimen", "skimage"), ("host", "psutil")]
)
def test_each_module_explains_what_it_needs(module, library):
    """A fresh interpreter in which the library cannot be imported explains how to install it."""
    block = f"import sys; sys.modules[{library!r}] = None"
    result = run(f"{block}; import labthings_fastapi.demo.{module}")
    assert result.returncode == 1
    assert f"The demo bench needs {library}" in result.stderr
    assert "Install the extra 'demo' (in the checkout: pip install '.[demo]')" in result.stderr


def test_importing_the_demo_loads_none_of_its_libraries():
    result = run(
        "import sys, labthings_fastapi.demo;"
        "print({'numpy', 'PIL', 'skimage', 'psutil'} & set(sys.modules))"
    )
    assert result.stdout.strip() == "set()", result.stderr
