"""The documentation of an attribute: the string that follows it in the class.

Python does not keep this string, so it is read from the source, once for each class, when it is
first needed.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import lru_cache
from itertools import pairwise


@lru_cache(maxsize=1024)
def attribute_docs(owner: type) -> dict[str, str]:
    """Return attribute name → the string that follows it in the body of `owner`.

    Empty without a source file, as in a plain Python prompt.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(owner)))
    except (OSError, TypeError, SyntaxError, ValueError):
        return {}
    if not tree.body or not isinstance(tree.body[0], ast.ClassDef):
        return {}
    docs: dict[str, str] = {}
    body = tree.body[0].body
    for statement, following in pairwise(body):
        name = _assigned_name(statement)
        text = _string(following)
        if name and text:
            docs[name] = inspect.cleandoc(text)
    return docs


def _assigned_name(statement: ast.stmt) -> str | None:
    if isinstance(statement, ast.AnnAssign):
        target: ast.expr = statement.target
    elif isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
    else:
        return None
    return target.id if isinstance(target, ast.Name) else None


def _string(statement: ast.stmt) -> str | None:
    if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Constant):
        return None
    value = statement.value.value
    return value if isinstance(value, str) else None
