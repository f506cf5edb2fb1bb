"""Errors of servers, their Things, folders and requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import LabThingsError
from .describing import describe_exception

if TYPE_CHECKING:
    from collections.abc import Sequence


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
        self.reason = reason
        super().__init__(f"{thing}.{slot}: {reason}")


class ThingNotConnectedError(ThingSlotError):
    """A slot was read before the server had filled it."""


class NotOneThingError(ThingNotFoundError, RuntimeError):
    """A server has no Thing of a class, or several, where exactly one was asked for."""


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


class RequestError(LabThingsError, ValueError):
    """A request is not understood."""


class MalformedBodyError(RequestError):
    """The body of a request is not JSON."""


class UnsupportedMediaTypeError(RequestError):
    """The body of a request has a media type that is not accepted here."""


class BodyTooLargeError(RequestError):
    """The body of a request is larger than the server accepts."""


class FeatureNotEnabledError(LabThingsError, RuntimeError):
    """The configuration of this server leaves out what is asked for."""
