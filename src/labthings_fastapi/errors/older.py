"""Errors and warnings that code for older releases catches by name."""

from __future__ import annotations

from .base import LabThingsError


class NotConnectedToServerError(LabThingsError, RuntimeError):
    """A Thing has no server."""


class UnexpectedGarbageCollectionError(LabThingsError, RuntimeError):
    """An object is gone that should still be held."""


class LogConfigurationError(LabThingsError, RuntimeError):
    """The handler that collects the log of runs is missing, or is there twice."""


class NoBlobManagerError(LabThingsError, RuntimeError):
    """No server is there that could give out a blob."""


class MessageDroppedWarning(RuntimeWarning):
    """A stream was full, so a message did not reach it."""
