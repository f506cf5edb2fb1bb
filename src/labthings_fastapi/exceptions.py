"""Every public error of the package.

Each class also derives from the builtin exception that code without LabThings would catch::

    LabThingsError (Exception)
    ├── AffordanceDefinitionError (TypeError)      a declaration in a class is wrong
    │   ├── MissingTypeError                       no type hint, or one that cannot be resolved
    │   ├── UnserialisableTypeError                a type has no JSON form
    │   ├── UnsupportedConstraintError (ValueError)
    │   └── DescriptorAddedToClassTwiceError (RuntimeError)
    ├── AffordanceNotFoundError (KeyError)
    ├── ThingNameError (ValueError)                a name or path that cannot be served
    ├── ThingNotFoundError (KeyError)
    ├── ThingDescriptionError (ValueError)         a document breaks the W3C standard
    ├── ThingSlotError (RuntimeError)
    │   └── ThingNotConnectedError
    ├── ThingStartError (RuntimeError)             a Thing's `__enter__` failed
    ├── ThingNotOpenError (RuntimeError)           its `__enter__` has not run, or has failed
    ├── ServerConfigurationError (ValueError)
    ├── ServerNotRunningError (RuntimeError)
    ├── FolderInUseError (RuntimeError)            another process serves from this settings folder
    │   └── JournalInUseError                      another server writes the same journal
    ├── JournalWriteError (OSError)                a request cannot be recorded, so it is refused
    ├── CredentialError (ValueError)               tokens or passwords that cannot be made or read
    ├── UnprotectedError (RuntimeError)            a network could reach a server without tokens
    ├── NotAllowedError (PermissionError)          the role of an actor does not allow it
    ├── ReadOnlyPropertyError (AttributeError)
    ├── SettingsWriteError (OSError)
    ├── ValueNotSavableError (ValueError)          a setting would not be the same after a restart
    ├── UnserialisableValueError (ValueError)
    ├── OutputMismatchError (TypeError)            an action broke its return hint
    ├── InvalidReadingError (TypeError)            a property's value breaks its own type or limits
    ├── MediaTypeMismatchError (ValueError)        a blob of a media type that its class excludes
    ├── BlobNotFoundError (KeyError)               no blob has this id, or it is gone
    ├── NoUrlForContextError (RuntimeError)        a URL is needed, and no request is answered
    ├── InvocationNotFoundError (KeyError)
    ├── InvocationFinishedError (RuntimeError)
    ├── OutputNotReadyError (RuntimeError)
    ├── NoOutputError (LookupError)
    │   └── OutputNotKeptError                     large or binary, and its file is gone
    ├── IdempotencyKeyError (ValueError)           a key was used for another request
    ├── InvocationError (RuntimeError)             an anticipated failure, raised by user code
    ├── ActionBusyError (RuntimeError)
    ├── ThingBusyError (TimeoutError)              it does one thing at a time
    ├── TooBusyError (RuntimeError)
    ├── GlobalLockBusyError (TimeoutError)
    ├── RequestError (ValueError)                  a request that is not understood
    │   ├── MalformedBodyError, UnsupportedMediaTypeError, BodyTooLargeError
    └── ClientError (RuntimeError)                 a client could not do what was asked
        ├── FailedToInvokeActionError              the server refused to start an action
        ├── ServerActionError                      an action ended in an error
        ├── ClientPropertyError                    a property could not be read or written
        ├── RefusedError (PermissionError)         who asks may not
        ├── ServerUnreachableError (ConnectionError)
        ├── ForeignAddressError (ValueError)       the server's answer leads to another server
        └── WaitTimeoutError (TimeoutError)
    InvocationCancelledError (BaseException)       so that `except Exception` cannot stop a cancel

Constructors take values and build the message. HTTP status codes are in `problems.py` alone.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from uuid import UUID


class LabThingsError(Exception):
    """The base of every error of this package, except `InvocationCancelledError`."""

    def __str__(self) -> str:
        # KeyError shows the repr of its argument; the message alone is easier to read.
        return str(self.args[0]) if self.args else ""


class InvocationCancelledError(BaseException):
    """An invocation was asked to stop.

    It is not an `Exception`, so that `except Exception` in the code of a Thing does not catch it.
    Code that must clean up uses `finally`, or catches this error and raises it again.
    """


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


class AffordanceNotFoundError(LabThingsError, KeyError):
    """A Thing has no affordance of that name."""

    def __init__(self, thing: str, kind: str, name: str, known: Sequence[str] = ()) -> None:
        """Name the Thing, the kind of affordance, and the names that exist."""
        known_text = f" It has: {', '.join(known)}." if known else ""
        super().__init__(f"Thing {thing!r} has no {kind} called {name!r}.{known_text}")


class ThingNameError(LabThingsError, ValueError):
    """A Thing's name or path cannot be used in a URL, or another Thing has it."""


class ThingNotFoundError(LabThingsError, KeyError):
    """The server has no Thing of this name, path or class."""


class ThingDescriptionError(LabThingsError, ValueError):
    """A Thing Description breaks W3C TD 1.1; the message lists every violation with its path."""


class ThingSlotError(LabThingsError, RuntimeError):
    """The server found no Thing for a slot, a wrong one or several, and cannot be built."""

    def __init__(self, thing: str, slot: str, reason: str) -> None:
        """Name the slot as `<thing>.<slot>`, with the reason."""
        super().__init__(f"{thing}.{slot}: {reason}")


class ThingNotConnectedError(ThingSlotError):
    """A slot was read before the server had filled it."""


class ThingStartError(LabThingsError, RuntimeError):
    """A Thing could not be started: its `__enter__` failed."""

    def __init__(self, thing: str, reason: BaseException | str) -> None:
        """Name the Thing; its name is also the attribute `thing`."""
        self.thing = thing
        text = reason if isinstance(reason, str) else describe_exception(reason)
        super().__init__(f"Thing {thing!r} could not start: {text}")


class ThingNotOpenError(LabThingsError, RuntimeError):
    """Code of a Thing cannot run, because the server has not opened the Thing's hardware."""


class ServerConfigurationError(LabThingsError, ValueError):
    """The configuration of a server is wrong; the message lists each mistake with its place."""


class ServerNotRunningError(LabThingsError, RuntimeError):
    """This needs a running server."""


class FolderInUseError(LabThingsError, RuntimeError):
    """The server of another process uses the same settings folder."""

    def __init__(self, folder: str, process: str = "") -> None:
        """Name the folder and, if it is known, the id of the process."""
        owner = f"process {process}" if process else "another process"
        super().__init__(
            f"The settings folder {folder!r} is in use by the server of {owner}. Stop that "
            "server, or set another `settings_folder` for this one."
        )


class JournalInUseError(FolderInUseError):
    """Another server writes the same journal."""

    def __init__(self, path: str, process: str = "") -> None:
        """Name the file and, if it is known, the id of the process."""
        owner = f"process {process}" if process else "another process"
        LabThingsError.__init__(
            self,
            f"The journal {path!r} is in use by the server of {owner}. Stop that server, or set "
            "another `journal.path` for this one.",
        )


class JournalWriteError(LabThingsError, OSError):
    """The journal cannot record a request, so it is refused; `errno` is that of the reason."""

    def __init__(self, path: str, reason: Exception) -> None:
        """Name the file and why it cannot be written."""
        words = str(reason)
        if isinstance(reason, OSError):
            words = reason.strerror or words
        super().__init__(f"The journal {path} cannot be written: {words.rstrip('.')}.")
        self.errno = getattr(reason, "errno", None)


class CredentialError(LabThingsError, ValueError):
    """A token or password cannot be made, or the file of credentials cannot be read."""


class UnprotectedError(LabThingsError, RuntimeError):
    """A server without credentials would be reachable from the network."""

    def __init__(self, host: str) -> None:
        """Name the address and the remedies."""
        super().__init__(
            f"{host!r} can be reached from the network, and this server has no tokens or "
            "passwords: everyone on the network could move the instruments. Make a token with "
            "`labthings-server token create --role operator`, or serve on 127.0.0.1, or add "
            "--insecure to allow it."
        )


class NotAllowedError(LabThingsError, PermissionError):
    """The role of an actor does not allow a request."""

    def __init__(self, actor: str, role: str, required: str, thing: str | None = None) -> None:
        """Name the actor, its role, the required role and, if there is one, the Thing."""
        where = f" on {thing!r}" if thing else ""
        super().__init__(
            f"Forbidden: {actor!r} has role {role!r}{where}; {required!r} is required."
        )


class ReadOnlyPropertyError(LabThingsError, AttributeError):
    """A property was written that is read-only for clients, or that has no setter."""


class SettingsWriteError(LabThingsError, OSError):
    """A setting could not be saved; the values in memory and on disk are as before."""


class ValueNotSavableError(LabThingsError, ValueError):
    """A value of a setting would be another one, or none, after a restart."""


class UnserialisableValueError(LabThingsError, ValueError):
    """A value has no JSON form."""

    def __init__(self, where: str, value_type: type, reason: str) -> None:
        """Name the affordance, the type of the value and the reason."""
        super().__init__(
            f"{where}: a value of type {value_type.__name__!r} cannot be written as JSON: {reason}"
        )


class OutputMismatchError(LabThingsError, TypeError):
    """An action returned or yielded a value that breaks its return hint."""


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


class NoUrlForContextError(LabThingsError, RuntimeError):
    """A URL of this server is needed where no request is being answered, so it is not known."""

    def __init__(self, what: str) -> None:
        """Say for what the URL is needed."""
        super().__init__(
            f"The URL of {what} is known only while a request is answered. In tests, use "
            "`labthings_fastapi.testing.use_dummy_url_for()`."
        )


class InvocationNotFoundError(LabThingsError, KeyError):
    """No invocation has this id, or it has expired."""

    def __init__(self, id: UUID | str) -> None:
        """Name the id."""
        super().__init__(f"There is no invocation with id {id}: the id is unknown, or expired.")


class InvocationFinishedError(LabThingsError, RuntimeError):
    """An invocation has already finished and cannot be cancelled."""

    def __init__(self, id: UUID, status: str) -> None:
        """Name the invocation and its final status."""
        super().__init__(
            f"Invocation {id} has already finished ({status}) and cannot be cancelled."
        )


class OutputNotReadyError(LabThingsError, RuntimeError):
    """An invocation has no output yet."""

    def __init__(self, id: UUID, status: str) -> None:
        """Name the invocation and its status."""
        super().__init__(f"Invocation {id} has no output yet: it is {status}. Try again later.")


class NoOutputError(LabThingsError, LookupError):
    """An invocation ended without an output, because it failed or was cancelled."""

    def __init__(self, id: UUID, status: str) -> None:
        """Name the invocation and its final status."""
        super().__init__(f"Invocation {id} has no output: it ended as {status!r}.")


class OutputNotKeptError(NoOutputError):
    """An invocation had a large or binary output, and only its record is left."""

    def __init__(self, id: UUID, size: int | None, media_type: str) -> None:
        """Name the invocation, and the size (bytes) and media type of its output."""
        LabThingsError.__init__(
            self,
            f"Invocation {id} had an output of {size} bytes ({media_type}). It is no longer there: "
            "the disk did not take it, or its file was deleted.",
        )


class IdempotencyKeyError(LabThingsError, ValueError):
    """An `Idempotency-Key` was used before, with another request."""


class InvocationError(LabThingsError, RuntimeError):
    """An anticipated failure; raise it in an action to log one line without a traceback."""


class ActionBusyError(LabThingsError, RuntimeError):
    """Another invocation of the same group is in progress."""


class ThingBusyError(LabThingsError, TimeoutError):
    """A Thing that does one thing at a time was not free in time."""


class TooBusyError(LabThingsError, RuntimeError):
    """The server or a Thing has reached the limit of its waiting work."""


class GlobalLockBusyError(LabThingsError, TimeoutError):
    """Another task holds the server's global lock."""

    def __init__(self, message: str = "The global lock is held.", log_level: int = 30) -> None:
        """Set the message, and the level (of `logging`) of the record about it."""
        self.log_level = log_level
        super().__init__(message)


class RequestError(LabThingsError, ValueError):
    """A request is not understood."""


class MalformedBodyError(RequestError):
    """The body of a request is not JSON."""


class UnsupportedMediaTypeError(RequestError):
    """The body of a request has a media type that is not accepted here."""


class BodyTooLargeError(RequestError):
    """The body of a request is larger than the server accepts."""


class ClientError(LabThingsError, RuntimeError):
    """A client could not do what was asked.

    `problem` is the server's own answer (RFC 9457), if there was one; `invocation_id` the run that
    it is about; `log` the newest lines of that run's log, as texts.
    """

    def __init__(
        self,
        message: str,
        *,
        problem: Mapping[str, Any] | None = None,
        invocation_id: str | None = None,
        log: Sequence[str] = (),
    ) -> None:
        """Keep the message and what the server told."""
        super().__init__(message)
        self.problem: Mapping[str, Any] = problem or {}
        self.invocation_id = invocation_id
        self.log = list(log)


class FailedToInvokeActionError(ClientError):
    """The server refused to start an action."""


class ServerActionError(ClientError):
    """An action ended in an error on the server."""


class ClientPropertyError(ClientError):
    """A property could not be read or written."""


class RefusedError(ClientError, PermissionError):
    """The server does not know who asks (401), or the role does not allow it (403)."""

    def __str__(self) -> str:
        return str(self.args[0])


class ServerUnreachableError(ClientError, ConnectionError):
    """A server does not answer, or its connection broke."""

    def __str__(self) -> str:
        return str(self.args[0])


class ForeignAddressError(ClientError, ValueError):
    """An answer of a server leads to another server, to which nothing is sent."""

    def __init__(self, address: str, server: str) -> None:
        """Name both addresses."""
        super().__init__(
            f"The server at {server} refers to {address}, which is another server. Nothing was "
            "sent there. If it is the same one under another name, use that name in the URL."
        )


class WaitTimeoutError(ClientError, TimeoutError):
    """What was waited for did not come in time; the run goes on."""

    def __str__(self) -> str:
        return str(self.args[0])


def describe_exception(error: BaseException) -> str:
    """Return `Name: message`; works also if the exception's `__str__` raises.

    A group is followed by the exceptions in it, also those of groups inside it: its own message
    only counts them. The code of a Thing may raise any exception. A report of a failure must not
    fail itself.
    """
    text = _described(error)
    if not isinstance(error, BaseExceptionGroup):
        return text
    causes = list(islice(_causes(error), _MAX_CAUSES + 1))
    named = "; ".join(map(_described, causes[:_MAX_CAUSES]))
    return f"{text}: {named}{'; and more' if len(causes) > _MAX_CAUSES else ''}"


_MAX_CAUSES = 20


def _causes(group: BaseExceptionGroup[Any]) -> Iterator[BaseException]:
    """Yield the exceptions that are no groups; a subclass may hide or fake its attributes."""
    waiting: list[BaseException] = [group]
    while waiting:
        found = waiting.pop()
        if isinstance(found, BaseExceptionGroup):
            waiting += reversed(_members_of(found))
        else:
            yield found


_members_of = BaseExceptionGroup.exceptions.__get__


def _described(error: BaseException) -> str:
    name = type(error).__name__
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001 - `__str__` may be user code
        return f"{name} (its message could not be read)"
    if _MANUAL in text:
        text = "\n".join(line for line in text.splitlines() if _MANUAL not in line)
    return f"{name}: {text}" if text else name


_MANUAL = "For further information visit https://errors.pydantic.dev"
"""A line in the errors of pydantic that does not help the users of an instrument."""
