"""Errors about values: readings, settings, outputs and blobs."""

from __future__ import annotations

from .base import LabThingsError
from .declaration import FeatureNotAvailableError


class ReadOnlyPropertyError(LabThingsError, AttributeError):
    """A property was written that is read-only for clients, or that has no setter."""


class PropertyNotResettableError(ReadOnlyPropertyError, FeatureNotAvailableError):
    """A property has neither a resetter nor a default that could be set."""


class SettingsWriteError(LabThingsError, OSError):
    """A setting could not be saved; the values in memory and on disk are as before."""


class ValueNotSavableError(LabThingsError, ValueError):
    """A value of a setting would be another one, or none, after a restart."""


class InvalidReadingError(LabThingsError, TypeError):
    """A property has, or its getter returned, a value that breaks its own type or limits."""

    def __init__(self, place: str, value: str, reason: str) -> None:
        """Name the property as `<thing>.<name>`, the value as text, and what is wrong with it."""
        super().__init__(f"Error validating {place}: the reading is {value}. {reason}")


class MediaTypeMismatchError(LabThingsError, ValueError):
    """A blob was made with a media type that its class does not allow."""

    def __init__(self, name: str, media_type: str, allowed: str) -> None:
        """Name the class of the blob, the media type and what the class allows."""
        super().__init__(
            f"{name}: the media type is {media_type!r}, but the class has {allowed!r}."
        )


class BlobNotFoundError(LabThingsError, KeyError):
    """No blob has this id, or it is gone."""

    def __init__(self, id: object) -> None:
        """Name the id."""
        super().__init__(f"Blob ID {id} wasn't found on this server.")


class BlobIncompleteError(BlobNotFoundError):
    """An upload is used before all of its bytes have arrived."""

    def __init__(self, id: object, received: int | None, length: int | None) -> None:
        """Say how many bytes there are and how many there should be; None: it is gone."""
        super().__init__(id)
        if received is not None:
            text = f"Upload {id} is not complete: {received} of {length} bytes have arrived."
            self.args = (f"{text} Send the rest first.",)


class OutputSpaceError(LabThingsError, OSError):
    """There is no space for an upload: the quota `max_output_bytes` or the disk is full."""


class NoUrlForContextError(LabThingsError, RuntimeError):
    """A URL of this server is needed where no request is being answered, so it is not known."""

    def __init__(self, what: str) -> None:
        """Say for what the URL is needed."""
        super().__init__(
            f"The URL of {what} is known only while a request is answered. In tests, use "
            "`labthings_fastapi.testing.use_dummy_url_for()`."
        )
