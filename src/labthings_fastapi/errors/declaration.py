"""Errors in the declarations of a class."""

from __future__ import annotations

from .base import LabThingsError


class AffordanceDefinitionError(LabThingsError, TypeError):
    """A class declares an affordance wrongly; raised when the class is made."""


class MissingTypeError(AffordanceDefinitionError):
    """An affordance has no type hint, or one that cannot be resolved."""


class UnserialisableTypeError(AffordanceDefinitionError):
    """The type of an affordance has no JSON form, so no server can be made of the class."""


class UnsupportedConstraintError(AffordanceDefinitionError, ValueError):
    """A constraint is unknown, has an impossible value, or does not fit the type."""


class DescriptorAddedToClassTwiceError(AffordanceDefinitionError, RuntimeError):
    """An affordance is assigned to two names."""
