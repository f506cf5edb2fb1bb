"""The base of all descriptors: name, owner, title and description."""

from __future__ import annotations

import inspect
from functools import cached_property
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
    """`__doc__`: on a class of descriptors its docstring, on a descriptor its description."""

    def __init__(self, class_doc: str | None) -> None:
        self._class_doc = class_doc

    def __get__(self, obj: BaseDescriptor | None, owner: type) -> str | None:
        return self._class_doc if obj is None else obj.description


class BaseDescriptor:
    """Declares one affordance of a Thing, as a class attribute.

    It has no URLs: bindings add them. It changes only while the class is made, so any thread may
    read it afterwards.
    """

    kind: ClassVar[str] = "affordance"

    def __init__(self, title: str | None = None, description: str | None = None) -> None:
        """Set title and description; without them, the documentation in the source is used."""
        self._name: str | None = None
        self._owner: type | None = None
        self._other_name: str | None = None
        self._title = title
        self._description = description
        self._namespace: Mapping[str, Any] = {}
        self.checked = False
        """True after `check` has passed."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # `help()` on a class of Thing then shows the documentation of its affordances.
        cls.__doc__ = _Doc(cls.__doc__)  # type: ignore[assignment]

    def __set_name__(self, owner: type, name: str) -> None:
        if self._name is None:
            self._name = name
            self._owner = owner
            self.__dict__.pop("name", None)
        elif self._name != name:
            # `check` raises: Python would wrap an error from here in another one.
            self._other_name = name

    @cached_property
    def name(self) -> str:
        """The name in code and in URLs."""
        if self._name is None:
            raise AffordanceDefinitionError(
                f"This {self.kind} has no name: assign it to an attribute in the body of a class."
            )
        return self._name

    @property
    def owner(self) -> type:
        """The class that declares this affordance."""
        if self._owner is None:
            raise AffordanceDefinitionError(f"This {self.kind} belongs to no class.")
        return self._owner

    @property
    def where(self) -> str:
        """`Class.attribute`, for error messages."""
        owner = self._owner.__name__ if self._owner else "?"
        return f"{owner}.{self._name or '?'}"

    def doc(self) -> str | None:
        """Return the documentation in the source: the string after the attribute."""
        if self._owner is None or self._name is None:
            return None
        return attribute_docs(self._owner).get(self._name)

    @property
    def title(self) -> str:
        """A short text for people: as set, else the first line of the documentation."""
        if self._title:
            return self._title
        return summary(self.doc()) or (self._name or self.kind)

    @title.setter
    def title(self, value: str) -> None:
        self._title = value

    @property
    def description(self) -> str | None:
        """The whole documentation, or None."""
        return self._description or whole_text(self.doc())

    @description.setter
    def description(self, value: str | None) -> None:
        self._description = value

    def check(self, namespace: Mapping[str, Any]) -> None:
        """Raise `AffordanceDefinitionError` if the declaration is wrong.

        Called when the class is made. `namespace` holds the names around the class, which its type
        hints may use.
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
        """An object whose attributes are the names that type hints may use, beside their module."""
        owner = self._owner
        class_names = {owner.__name__: owner, **vars(owner)} if owner else {}
        return SimpleNamespace(**{**self._namespace, **class_names})

    def hint(self) -> Any:
        """Return the type hint of the attribute, resolved."""
        annotations = inspect.get_annotations(self.owner)
        if self.name not in annotations:
            raise AffordanceDefinitionError(
                f"{self.where}: this {self.kind} has no type hint. "
                f"Write `{self.name}: <type> = …`, so that values can be checked and described."
            )
        return self.resolve(annotations[self.name])

    def resolve(self, hint: Any) -> Any:
        """Resolve a hint that is a string, or contains one."""
        module = inspect.getmodule(self.owner)
        carrier: Any = SimpleNamespace(
            __annotations__={"hint": hint},
            __globals__=vars(module) if module else {},
            __qualname__=self.where,
        )
        return resolved_hints(carrier, self.scope)["hint"]


def descriptors_of(cls: type) -> Iterator[tuple[str, BaseDescriptor]]:
    """Yield the affordances of a class and of its bases, in the order of their declaration."""
    attributes: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        for name, value in vars(base).items():
            attributes.pop(name, None)  # so that an overriding attribute takes its new position
            attributes[name] = value
    for name, value in attributes.items():
        if isinstance(value, BaseDescriptor):
            yield name, value


def function_doc(func: Callable[..., Any]) -> str | None:
    """Return a function's docstring without its indentation."""
    return inspect.cleandoc(func.__doc__) if func.__doc__ else None
