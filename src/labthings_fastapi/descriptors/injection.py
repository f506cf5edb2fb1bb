"""The parameters of an action that FastAPI injects, and that are no input of clients.

Only this module of the package imports FastAPI, and only if FastAPI was loaded before: without it
no parameter can be a dependency.
"""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any, get_args

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def injected_parameters(
    func: Callable[..., Any], hints: Mapping[str, Any]
) -> dict[str, inspect.Parameter]:
    """Return the parameters that are FastAPI dependencies, with their hints resolved."""
    if "fastapi" not in sys.modules:
        return {}
    return {
        parameter.name: parameter.replace(annotation=hints.get(parameter.name, Any))
        for parameter in list(inspect.signature(func).parameters.values())[1:]
        if _is_injected(hints.get(parameter.name), parameter.default)
    }


def _is_injected(hint: Any, default: Any) -> bool:
    from fastapi import BackgroundTasks, Request, Response
    from fastapi.params import Depends

    if isinstance(default, Depends):
        return True
    if any(isinstance(item, Depends) for item in get_args(hint)[1:]):
        return True
    return inspect.isclass(hint) and issubclass(hint, (Request, Response, BackgroundTasks))
