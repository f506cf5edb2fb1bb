"""Every public error of the package.

The tree. Beside the common base stands the builtin that a stranger would catch::

    LabThingsError (Exception)
    ├── AffordanceDefinitionError (TypeError)      a class declares something that cannot work
    ├── AffordanceNotFoundError (KeyError)
    ├── ThingNameError (ValueError)                a name or path that cannot be served
    ├── ThingNotFoundError (KeyError)
    ├── ThingDescriptionError (ValueError)         a document breaks the W3C standard
    ├── ThingSlotError (RuntimeError)
    │   └── ThingNotConnectedError
    ├── ThingStartError (RuntimeError)             a Thing's `__enter__` failed
    ├── ServerConfigurationError (ValueError)
    ├── ServerNotRunningError (RuntimeError)
    ├── FolderInUseError (RuntimeError)            another process serves from this settings folder
    ├── CredentialError (ValueError)               tokens or passwords that cannot be made or read
    ├── UnprotectedError (RuntimeError)            a network could reach a server that asks nobody
    ├── NotAllowedError (PermissionError)          an actor whose role does not reach
    ├── ReadOnlyPropertyError (AttributeError)
    ├── SettingsWriteError (OSError)
    ├── UnserialisableValueError (ValueError)
    ├── OutputMismatchError (TypeError)            an action broke its return hint
    ├── InvocationNotFoundError (KeyError)
    ├── InvocationFinishedError (RuntimeError)
    ├── OutputNotReadyError (RuntimeError)
    ├── NoOutputError (LookupError)
    │   └── OutputNotKeptError                     large or binary, and the run is history
    ├── IdempotencyKeyError (ValueError)           a key stands for another request
    ├── InvocationError (RuntimeError)             an anticipated failure, raised by user code
    ├── ActionBusyError (RuntimeError)
    ├── TooBusyError (RuntimeError)
    ├── GlobalLockBusyError (TimeoutError)
    ├── RequestError (ValueError)                  a request that cannot be read
    │   ├── MalformedBodyError, UnsupportedMediaTypeError, BodyTooLargeError
    └── ClientError (RuntimeError)                 seen by a client
        ├── FailedToInvokeActionError, ServerActionError, ClientPropertyError
    InvocationCancelledError (BaseException)       so that `except Exception` cannot eat a cancel

Constructors take facts and build the message. HTTP status codes live in `problems.py` alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID


class LabThingsError(Exception):
    """The base of every error that this package raises, cancellation excepted."""

    def __str__(self) -> str:
        # KeyError shows the repr of its argument; people want the sentence.
        return str(self.args[0]) if self.args else ""


class InvocationCancelledError(BaseException):
    """A run was asked to stop.

    Not an `Exception`, so that `except Exception` in laboratory code cannot swallow it. Code that
    must tidy up should use `finally`, or catch this and raise it again.
    """


class AffordanceDefinitionError(LabThingsError, TypeError):
    """A class declares an affordance that cannot work; raised when the class is made."""


class AffordanceNotFoundError(LabThingsError, KeyError):
    """A Thing has no affordance of that name."""

    def __init__(self, thing: str, kind: str, name: str, known: Sequence[str] = ()) -> None:
        """Say which Thing, what kind of affordance, and which names there are."""
        known_text = f" It has: {', '.join(known)}." if known else ""
        super().__init__(f"Thing {thing!r} has no {kind} called {name!r}.{known_text}")


class ThingNameError(LabThingsError, ValueError):
    """A Thing's name or path cannot be used in a URL, or is taken."""


class ThingNotFoundError(LabThingsError, KeyError):
    """The server has no such Thing."""


class ThingDescriptionError(LabThingsError, ValueError):
    """A Thing Description breaks the W3C standard; the message lists every violation by path."""


class ThingSlotError(LabThingsError, RuntimeError):
    """A slot names no Thing, a wrong one or several, so the server cannot be built."""

    def __init__(self, thing: str, slot: str, reason: str) -> None:
        """Name the slot as `<thing>.<slot>` and say why."""
        super().__init__(f"{thing}.{slot}: {reason}")


class ThingNotConnectedError(ThingSlotError):
    """A slot was read before the server had filled it."""


class ThingStartError(LabThingsError, RuntimeError):
    """A Thing could not be started: its `__enter__` failed."""

    def __init__(self, thing: str, reason: BaseException) -> None:
        """Keep the failing Thing's name as `thing` beside the message."""
        self.thing = thing
        super().__init__(f"Thing {thing!r} could not start: {describe_exception(reason)}")


class ServerConfigurationError(LabThingsError, ValueError):
    """The configuration of a server is wrong; the message lists each mistake with its place."""


class ServerNotRunningError(LabThingsError, RuntimeError):
    """Something was asked of a server that is not running."""


class FolderInUseError(LabThingsError, RuntimeError):
    """The server of another process keeps its settings and its journal in the same folder."""

    def __init__(self, folder: str, process: str = "") -> None:
        """Name the folder and, if it is known, the id of the process."""
        who = f"process {process}" if process else "another process"
        super().__init__(
            f"The settings folder {folder!r} is in use by the server of {who}: stop that one, or "
            "give this one a `settings_folder` of its own."
        )


class CredentialError(LabThingsError, ValueError):
    """A token or a password cannot be made, or those that there are cannot be read."""


class UnprotectedError(LabThingsError, RuntimeError):
    """A server that asks nobody for a token would be reached from the network."""

    def __init__(self, host: str) -> None:
        """Name the address and what to do."""
        super().__init__(
            f"{host!r} can be reached from the network, and this server asks nobody who they are, "
            "so anybody could move the instruments. Make a token with `labthings-server token "
            "create --role operator`, or serve on 127.0.0.1, or say --insecure if that is meant."
        )


class NotAllowedError(LabThingsError, PermissionError):
    """An actor asked for what its role does not allow."""

    def __init__(self, actor: str, role: str, needed: str, thing: str | None = None) -> None:
        """Say who it is, what the role is, and which one it takes."""
        where = f" on Thing {thing!r}" if thing else ""
        super().__init__(
            f"{actor!r} is {role}{where}, and this needs {needed}: use a token with that role."
        )


class ReadOnlyPropertyError(LabThingsError, AttributeError):
    """A property that clients may not write was written by one, or has no setter."""


class SettingsWriteError(LabThingsError, OSError):
    """A setting could not be saved, so neither memory nor disk was changed."""


class UnserialisableValueError(LabThingsError, ValueError):
    """A value has no JSON form."""

    def __init__(self, where: str, value_type: type, reason: str) -> None:
        """Say which value, of what type, and what stood in the way."""
        super().__init__(
            f"{where}: a value of type {value_type.__name__!r} cannot be written as JSON: {reason}"
        )


class OutputMismatchError(LabThingsError, TypeError):
    """An action returned something that its return hint does not allow."""


class InvocationNotFoundError(LabThingsError, KeyError):
    """No run has this id, or it ended so long ago that it was dropped."""

    def __init__(self, id: UUID | str) -> None:
        """Name the id that was asked for."""
        super().__init__(f"There is no invocation with id {id}: unknown, or expired and dropped.")


class InvocationFinishedError(LabThingsError, RuntimeError):
    """A run has already ended, so it cannot be cancelled."""

    def __init__(self, id: UUID, status: str) -> None:
        """Say how the run ended."""
        super().__init__(f"Invocation {id} has already finished ({status}): nothing to cancel.")


class OutputNotReadyError(LabThingsError, RuntimeError):
    """The output of a run was asked for before it ended."""

    def __init__(self, id: UUID, status: str) -> None:
        """Say where the run stands."""
        super().__init__(f"Invocation {id} has no output yet: it is {status}. Ask again later.")


class NoOutputError(LabThingsError, LookupError):
    """A run ended without an output, because it failed or was cancelled."""

    def __init__(self, id: UUID, status: str) -> None:
        """Say how the run ended."""
        super().__init__(f"Invocation {id} has no output: it ended as {status!r}.")


class OutputNotKeptError(NoOutputError):
    """The output of a run of an earlier life of the server was too large or binary."""

    def __init__(self, id: UUID, size: int | None, media_type: str) -> None:
        """Say how large it was, in bytes, and of what type."""
        LabThingsError.__init__(
            self,
            f"Invocation {id} completed before the server was restarted, and the journal keeps no "
            f"output that is large or binary; this one was {media_type}, {size} bytes.",
        )


class IdempotencyKeyError(LabThingsError, ValueError):
    """An `Idempotency-Key` was sent with another request before."""


class InvocationError(LabThingsError, RuntimeError):
    """An anticipated failure of an action: logged as one line, without a traceback."""


class ActionBusyError(LabThingsError, RuntimeError):
    """Another run holds the place that this action needs."""


class TooBusyError(LabThingsError, RuntimeError):
    """The server or a Thing has as much waiting work as it accepts."""


class GlobalLockBusyError(LabThingsError, TimeoutError):
    """The server-wide lock is held by someone else."""

    def __init__(self, message: str = "The global lock is held.", log_level: int = 30) -> None:
        """Keep the level (of `logging`) at which a run that could not start says so."""
        self.log_level = log_level
        super().__init__(message)


class RequestError(LabThingsError, ValueError):
    """A request could not be read."""


class MalformedBodyError(RequestError):
    """The body of a request is not JSON."""


class UnsupportedMediaTypeError(RequestError):
    """The body of a request is of a media type that is not accepted here."""


class BodyTooLargeError(RequestError):
    """The body of a request is larger than the server accepts."""


class ClientError(LabThingsError, RuntimeError):
    """A client could not do what it was asked to."""


class FailedToInvokeActionError(ClientError):
    """The server refused to start an action."""


class ServerActionError(ClientError):
    """An action ended in an error on the server."""


class ClientPropertyError(ClientError):
    """A property could not be read or written."""


def describe_exception(error: BaseException) -> str:
    """Say what an exception is in one line, whatever its `__str__` does.

    Laboratory code raises anything, also exceptions whose own text raises; a record of a failure
    must not fail itself.
    """
    name = type(error).__name__
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001 - a hostile __str__ may raise anything
        return f"{name} (its message could not be read)"
    return f"{name}: {text}" if text else name
