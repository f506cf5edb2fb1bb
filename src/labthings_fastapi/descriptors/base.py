"""What every affordance's descriptor shares: a name, an owner, a title and a description."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

from labthings_fastapi.exceptions import AffordanceDefinitionError
from labthings_fastapi.schemas.docstrings import description as whole_text
from labthings_fastapi.schemas.docstrings import summary
from labthings_fastapi.schemas.signature import resolved_hints

from .attribute_docs import attribute_docs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


class _Doc:
    """The `__doc__` of a class of descriptors, and of each descriptor what it declares."""

    def __init__(self, of_class: str | None) -> None:
        self._of_class = of_class

    def __get__(self, obj: BaseDescriptor | None, owner: type) -> str | None:
        return self._of_class if obj is None else obj.description


class BaseDescriptor:
    """Declares one affordance of a Thing, as a class attribute.

    Knows no URL and no web framework: bindings ask it. Made and named while the class is made;
    read-only afterwards, so any thread may use it.
    """

    kind: ClassVar[str] = "affordance"

    def __init__(self, title: str | None = None, description: str | None = None) -> None:
        """Keep what was said explicitly; the rest comes from docstrings."""
        self._name: str | None = None
        self._owner: type | None = None
        self._other_name: str | None = None
        self._title = title
        self._description = description
        self._namespace: Mapping[str, Any] = {}
        self.checked = False
        """Whether `check` has let it pass."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # So that `help()` on a class of Thing shows the documentation of its affordances.
        cls.__doc__ = _Doc(cls.__doc__)  # type: ignore[assignment]

    def __set_name__(self, owner: type, name: str) -> None:
        if self._name is None:
            self._name = name
            self._owner = owner
        elif self._name != name:
            # Raised in `check`: an error from here would reach people wrapped in another.
            self._other_name = name

    @property
    def name(self) -> str:
        """The name in code and in URLs."""
        if self._name is None:
            raise AffordanceDefinitionError(
                f"This {self.kind} has no name: assign it to an attribute in the body of a class."
            )
        return self._name

    @property
    def owner(self) -> type:
        """The class that declares it."""
        if self._owner is None:
            raise AffordanceDefinitionError(f"This {self.kind} belongs to no class.")
        return self._owner

    @property
    def where(self) -> str:
        """`Class.attribute`, for error messages."""
        owner = self._owner.__name__ if self._owner else "?"
        return f"{owner}.{self._name or '?'}"

    def doc(self) -> str | None:
        """The documentation in the source: of the function, or the string after the attribute."""
        if self._owner is None or self._name is None:
            return None
        return attribute_docs(self._owner).get(self._name)

    @property
    def title(self) -> str:
        """A short text for people: as given, else the first line of the documentation."""
        if self._title:
            return self._title
        return summary(self.doc()) or (self._name or self.kind)

    @title.setter
    def title(self, value: str) -> None:
        self._title = value

    @property
    def description(self) -> str | None:
        """The whole documentation, or None if there is none."""
        return self._description or whole_text(self.doc())

    @description.setter
    def description(self, value: str | None) -> None:
        self._description = value

    def check(self, namespace: Mapping[str, Any]) -> None:
        """Refuse what cannot work, when the class is made.

        `namespace` holds the names around the class, where its type hints may come from.
        """
        if self._other_name is not None:
            raise AffordanceDefinitionError(
                f"{self.where}: this {self.kind} is also assigned to {self._other_name!r}. "
                "An affordance has one name: remove the other assignment."
            )
        self._namespace = namespace
        self.checked = True

    @property
    def scope(self) -> Any:
        """The names that type hints may use beside those of their module, as `vars()` sees them."""
        owner = self._owner
        own = {owner.__name__: owner, **vars(owner)} if owner else {}
        return SimpleNamespace(**{**self._namespace, **own})

    def hint(self) -> Any:
        """The type hint of the attribute in the class that declares it; an error without one."""
        annotations = inspect.get_annotations(self.owner)
        if self.name not in annotations:
            raise AffordanceDefinitionError(
                f"{self.where}: this {self.kind} has no type hint. "
                f"Write `{self.name}: <type> = …`, so that values can be checked and described."
            )
        return self.resolve(annotations[self.name])

    def resolve(self, hint: Any) -> Any:
        """Look up the names in a hint, where it or a part of it is a string."""
        module = inspect.getmodule(self.owner)
        carrier: Any = SimpleNamespace(
            __annotations__={"hint": hint},
            __globals__=vars(module) if module else {},
            __qualname__=self.where,
        )
        return resolved_hints(carrier, self.scope)["hint"]


def descriptors_of(cls: type) -> Iterator[tuple[str, BaseDescriptor]]:
    """Yield the affordances of a class and of its bases, in the order of their declaration."""
    seen: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        for name, value in vars(base).items():
            seen.pop(name, None)
            seen[name] = value
    for name, value in seen.items():
        if isinstance(value, BaseDescriptor):
            yield name, value


def function_doc(func: Callable[..., Any]) -> str | None:
    """Return a function's documentation without its indentation."""
    return inspect.cleandoc(func.__doc__) if func.__doc__ else None
