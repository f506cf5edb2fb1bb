"""Errors in the declarations of a class."""

from __future__ import annotations

from .base import LabThingsError
from .user_code import CausedByUserCodeError


class AffordanceDefinitionError(LabThingsError):
    """A class declares an affordance wrongly; raised when the class is made."""


class DeclarationTypeError(AffordanceDefinitionError, TypeError):
    """What is declared is of the wrong kind: a name, a function, an option or its value."""


class MissingTypeError(DeclarationTypeError):
    """An affordance has no type hint, or one that cannot be resolved."""


class InconsistentTypeError(DeclarationTypeError):
    """A property has two types that differ."""


class UnserialisableTypeError(DeclarationTypeError, CausedByUserCodeError):
    """The type of an affordance has no JSON form, so no server can be made of the class."""


class UnsupportedConstraintError(AffordanceDefinitionError, ValueError):
    """A constraint is unknown, has an impossible value, or does not fit the type."""


class ActionNameError(AffordanceDefinitionError, ValueError):
    """An action is assigned to a name that is not the name of its method."""


class MissingDefaultError(AffordanceDefinitionError, ValueError):
    """A data property has neither `default` nor `default_factory`."""


class OverspecifiedDefaultError(AffordanceDefinitionError, ValueError):
    """A property has a default twice, or a default beside a getter."""


class PropertyRedefinitionError(AffordanceDefinitionError, AttributeError):
    """A function for a property has the property's own name, so one of both is lost."""


class InvalidClassSettingsError(AffordanceDefinitionError, ValueError):
    """`_class_settings` of a Thing has an unknown key, or a value of the wrong type."""


class DescriptorNotAddedToClassError(AffordanceDefinitionError, RuntimeError):
    """An affordance is used that was not assigned in the body of a class."""


class DescriptorAddedToClassTwiceError(AffordanceDefinitionError, RuntimeError):
    """An affordance is assigned to two names."""


class PropertyNotObservableError(AffordanceDefinitionError, RuntimeError):
    """A property does not tell of its changes."""


class NotBoundToInstanceError(LabThingsError, RuntimeError):
    """What was asked of a class can only be asked of one of its Things."""


class FeatureNotAvailableError(LabThingsError, NotImplementedError, AttributeError):
    """This affordance has no such feature, such as a default value."""


class DefaultWillChangeWarning(DeprecationWarning):
    """Code relies on a default that will be another one."""
