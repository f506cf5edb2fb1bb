"""Errors in declarations are also the builtin errors that code without LabThings catches."""

from __future__ import annotations

import pytest

from labthings_fastapi import exceptions


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("DeclarationTypeError", TypeError),
        ("DescriptorAddedToClassTwiceError", RuntimeError),
        ("DescriptorNotAddedToClassError", RuntimeError),
        ("FeatureNotAvailableError", NotImplementedError),
        ("FeatureNotEnabledError", RuntimeError),
        ("InconsistentTypeError", TypeError),
        ("InvalidClassSettingsError", ValueError),
        ("MissingDefaultError", ValueError),
        ("MissingTypeError", TypeError),
        ("NoInvocationContextError", RuntimeError),
        ("NotBoundToInstanceError", RuntimeError),
        ("OverspecifiedDefaultError", ValueError),
        ("PropertyNotObservableError", RuntimeError),
        ("PropertyRedefinitionError", AttributeError),
        ("UnserialisableTypeError", TypeError),
        ("UnsupportedConstraintError", ValueError),
    ],
)
def test_each_is_also_a_builtin_error(name: str, builtin: type[Exception]) -> None:
    kind = getattr(exceptions, name)
    assert issubclass(kind, builtin)
    assert issubclass(kind, exceptions.LabThingsError)
    assert kind.__module__ == "labthings_fastapi.exceptions"


def test_an_error_of_a_value_is_no_error_of_a_type() -> None:
    assert not issubclass(exceptions.UnsupportedConstraintError, TypeError)
    assert not issubclass(exceptions.InvalidClassSettingsError, TypeError)
