"""The base of all descriptors: name, owner, title and description."""

from __future__ import annotations

import copy
import inspect
import weakref
from functools import cached_property
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

from labthings_fastapi.exceptions import (
    DeclarationTypeError,
    DescriptorAddedToClassTwiceError,
    DescriptorNotAddedToClassError,
    MissingTypeError,
)
from labthings_fastapi.schemas.docstrings import body, summary
from labthings_fastapi.schemas.docstrings import description as whole_text
from labthings_fastapi.schemas.signature import resolved_hints

from .attribute_docs import attribute_docs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Self


class _Doc:
    """`__doc__`: on a class of descriptors its docstring, on a descriptor its description."""

    def __init__(self, class_doc: str | None) -> None:
        self._class_doc = class_doc

    def __get__(self, obj: BaseDescriptor | None, owner: type) -> str | None:
        return self._class_doc if obj is None else obj._description or whole_text(obj.doc())


class BaseDescriptor:
    """Declares one affordance of a Thing, as a class attribute.

    It has no URLs: bindings add them. It changes only while classes are made, so any thread may
    read it afterwards.

    In a subclass it behaves like Python's own `property`: what the subclass changes is a descriptor
    of its own (`seen_from`), and the base class stays as it was.
    """

    kind: ClassVar[str] = "affordance"
    declared_by: ClassVar[str] = "a descriptor"
    """How people declare one, for messages."""

    def __init__(self, title: str | None = None, description: str | None = None) -> None:
        """Set title and description; without them, the documentation in the source is used."""
        self._name: str | None = None
        self._owner: type | None = None
        self._declared_in: type | None = None  # the class with the type hint
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
            self._owner = self._declared_in = owner
            self.__dict__.pop("name", None)
        elif self._name != name:
            # `check` raises: Python would wrap an error from here in another one.
            self._other_name = name

    def __setattr__(self, name: str, value: Any) -> None:
        if "_inherited_from" in self.__dict__:
            self._belong_to_owner()
        super().__setattr__(name, value)
        if name not in ("checked", "_namespace") and self.__dict__.get("checked"):
            self._change()
        for copied in self.__dict__.get("_copies", ()):
            if copied.__dict__.get("_inherited_from") is self:
                object.__setattr__(copied, name, value)
                copied._change()

    def seen_from(self, owner: type | None) -> Self:
        """Return this descriptor as an attribute of `owner`, which may have inherited it.

        A subclass sees a copy. As soon as an attribute of the copy is set, as in
        `Sub.x.readonly = True`, it belongs to the subclass, as if it had been declared there.
        """
        if owner is None or owner is self._owner or self._name is None:
            return self
        if vars(owner).get("_affordances", {}).get(self._name) is not self:
            return self  # `super().x`, or no class of Thing
        copies: dict[str, Any] = vars(owner)["_inherited"]
        copied = copies.get(self._name)
        if copied is None or copied.__dict__.get("_inherited_from") is not self:
            copied = self._copy()
            copied.__dict__.update({"_owner": owner, "_inherited_from": self})
            copies[self._name] = copied
            if "_copies" not in self.__dict__:
                self.__dict__["_copies"] = weakref.WeakSet()
            self.__dict__["_copies"].add(copied)
        found: Self = copied
        return found

    def _belong_to_owner(self) -> None:
        del self.__dict__["_inherited_from"]
        self._change()
        owner: Any = self.owner
        setattr(owner, self.name, self)
        owner._find_affordances()

    def _copy(self) -> Self:
        copied = copy.copy(self)
        copied.__dict__.pop("_copies", None)
        copied.__dict__.pop("_inherited_from", None)
        return copied

    def for_subclass(self) -> Self:
        """Return a copy for the body of a subclass, which gives it a name and an owner."""
        copied = self._copy()
        copied.__dict__.update(
            {"_name": None, "_owner": None, "_other_name": None, "checked": False}
        )
        copied.forget_cached()
        return copied

    def _change(self) -> None:
        """Check it again when a server is made, and with what its options are now."""
        self.__dict__["checked"] = False
        self.forget_cached()

    def forget_cached(self) -> None:
        """Drop what has been made from the options, so that it is made again."""
        for cls in type(self).__mro__:
            for name, attribute in vars(cls).items():
                if isinstance(attribute, cached_property):
                    self.__dict__.pop(name, None)

    def functions(self) -> tuple[Callable[..., Any], ...]:
        """Return the functions of the Thing that the descriptor calls."""
        return ()

    @property
    def __isabstractmethod__(self) -> bool:
        """True if a subclass must declare it again: `abc` and `Thing` ask for this."""
        marked: bool = self.__dict__.get("_abstract", False)
        return marked or any(
            getattr(function, "__isabstractmethod__", False) for function in self.functions()
        )

    @__isabstractmethod__.setter
    def __isabstractmethod__(self, value: bool) -> None:
        self.__dict__["_abstract"] = value

    @cached_property
    def name(self) -> str:
        """The name in code and in URLs."""
        if self._name is None:
            raise DescriptorNotAddedToClassError(
                f"This {self.kind} has no name: assign it to an attribute in the body of a class."
            )
        return self._name

    @property
    def owner(self) -> type:
        """The class that declares this affordance."""
        if self._owner is None:
            raise DescriptorNotAddedToClassError(f"This {self.kind} belongs to no class.")
        return self._owner

    @property
    def where(self) -> str:
        """`Class.attribute`, for error messages."""
        owner = self._owner.__name__ if self._owner else "?"
        return f"{owner}.{self._name or '?'}"

    def doc(self) -> str | None:
        """Return the documentation in the source: the string after the attribute."""
        if self._declared_in is None or self._name is None:
            return None
        return attribute_docs(self._declared_in).get(self._name)

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
        """A longer text for people: as set, else what follows the first line of the documentation.

        Documentation of one line is both title and description. None: there is none.
        """
        return self._description or body(self.doc())

    @description.setter
    def description(self, value: str | None) -> None:
        self._description = value

    def check(self, namespace: Mapping[str, Any]) -> None:
        """Raise `AffordanceDefinitionError` if the declaration is wrong.

        Called when the class is made. `namespace` holds the names around the class, which its type
        hints may use.
        """
        if self._other_name is not None:
            raise DescriptorAddedToClassTwiceError(
                f"{self.where}: this {self.kind} is also assigned to {self._other_name!r}. "
                "An affordance has one name: remove the other assignment."
            )
        self._namespace = {**self._namespace, **namespace}
        for option in ("title", "description", "unit"):
            self._check_text(option, self.__dict__.get(f"_{option}", self.__dict__.get(option)))
        self.checked = True

    def _check_text(self, option: str, value: Any) -> None:
        if value is None or (isinstance(value, str) and value.strip()):
            return
        raise DeclarationTypeError(
            f"{self.where}: {option}={value!r} is no text. Write a text in quotes, or leave the "
            "option out."
        )

    def check_types(self) -> None:
        """Raise `AffordanceDefinitionError` if a server cannot serve and describe the types.

        Called when a server is made; the class can be made and used without one.
        """

    def remarks(self) -> Iterator[str]:
        """Yield what is allowed in the declaration, and is probably a mistake."""
        return iter(())

    @property
    def scope(self) -> Any:
        """An object whose attributes are the names that type hints may use, beside their module."""
        class_names: dict[str, Any] = {}
        for owner in reversed(self._owner.__mro__ if self._owner else ()):
            class_names |= {**vars(owner), owner.__name__: owner}
        return SimpleNamespace(**{**self._namespace, **class_names})

    def hint(self) -> Any:
        """Return the type hint of the attribute, resolved."""
        hint = self.written_hint()
        if hint is inspect.Parameter.empty:
            raise MissingTypeError(
                f"No type hint was found for {self.where}. "
                f"Write `{self.name}: <type> = …`, so that values can be checked and described."
            )
        return self.resolve(hint)

    def written_hint(self) -> Any:
        """Return the type hint as it is written, or `inspect.Parameter.empty`."""
        owner = self._declared_in or self.owner
        return inspect.get_annotations(owner).get(self.name, inspect.Parameter.empty)

    def resolve(self, hint: Any) -> Any:
        """Resolve a hint that is a string, or contains one."""
        module = inspect.getmodule(self._declared_in or self.owner)
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
