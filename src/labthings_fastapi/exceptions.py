"""Every public error of the package.

Each class also derives from the builtin exception that code without LabThings would catch::

    LabThingsError (Exception)
    ├── AffordanceDefinitionError                  a declaration in a class is wrong
    │   ├── DeclarationTypeError (TypeError)       what is declared is of the wrong kind
    │   │   ├── MissingTypeError                   no type hint, or one that cannot be resolved
    │   │   ├── InconsistentTypeError              two types that differ
    │   │   └── UnserialisableTypeError            a type has no JSON form; also CausedByUserCode
    │   ├── UnsupportedConstraintError (ValueError)
    │   ├── ActionNameError (ValueError)           its method has another name
    │   ├── MissingDefaultError (ValueError)       a data property without a default
    │   ├── OverspecifiedDefaultError (ValueError) two defaults, or one beside a getter
    │   ├── InvalidClassSettingsError (ValueError) an unknown key or a bad value
    │   ├── PropertyRedefinitionError (AttributeError)
    │   ├── DescriptorNotAddedToClassError (RuntimeError)
    │   ├── DescriptorAddedToClassTwiceError (RuntimeError)
    │   └── PropertyNotObservableError (RuntimeError)
    ├── NotBoundToInstanceError (RuntimeError)     a class was asked for what a Thing has
    ├── FeatureNotAvailableError (NotImplementedError)
    ├── FeatureNotEnabledError (RuntimeError)      the server's configuration leaves it out
    ├── AffordanceNotFoundError (KeyError)
    ├── ThingNameError (ValueError)                a name or path that cannot be served
    ├── ThingNotFoundError (KeyError)
    │   └── NotOneThingError (RuntimeError)        none of a class, or several
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
    │   └── PropertyNotResettableError             also FeatureNotAvailableError
    ├── SettingsWriteError (OSError)
    ├── ValueNotSavableError (ValueError)          a setting would not be the same after a restart
    ├── UnserialisableValueError (ValueError)
    ├── InvalidReturnValueError (TypeError)            an action broke its return hint
    ├── InvalidReadingError (TypeError)            a property's value breaks its own type or limits
    ├── MediaTypeMismatchError (ValueError)        a blob of a media type that its class excludes
    ├── BlobNotFoundError (KeyError)               no blob has this id, or it is gone
    │   └── BlobIncompleteError                    of an upload not all bytes have arrived
    ├── OutputSpaceError (OSError)                 the quota or the disk has no space for an upload
    ├── NoUrlForContextError (RuntimeError)        a URL is needed, and no request is answered
    ├── InvocationNotFoundError (KeyError)
    ├── InvocationFinishedError (RuntimeError)
    ├── OutputNotReadyError (RuntimeError)
    ├── NoOutputError (LookupError)
    │   └── OutputNotKeptError                     large or binary, and its file is gone
    ├── IdempotencyKeyError (ValueError)           a key was used for another request
    ├── NoInvocationContextError (RuntimeError)    this code does not run in an action
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
    DefaultWillChangeWarning (DeprecationWarning)

Code for older releases also catches `NotConnectedToServerError`, `LogConfigurationError`,
`NoBlobManagerError`, `UnexpectedGarbageCollectionError` (RuntimeError), and
`MessageDroppedWarning` (RuntimeWarning).

Constructors take values and build the message. HTTP status codes are in `problems.py` alone.
"""

from labthings_fastapi.errors.base import (
    InvocationCancelledError,
    LabThingsError,
)
from labthings_fastapi.errors.client import (
    ClientError,
    ClientPropertyError,
    FailedToInvokeActionError,
    ForeignAddressError,
    RefusedError,
    ServerActionError,
    ServerUnreachableError,
    WaitTimeoutError,
)
from labthings_fastapi.errors.declaration import (
    ActionNameError,
    AffordanceDefinitionError,
    DeclarationTypeError,
    DefaultWillChangeWarning,
    DescriptorAddedToClassTwiceError,
    DescriptorNotAddedToClassError,
    FeatureNotAvailableError,
    InconsistentTypeError,
    InvalidClassSettingsError,
    MissingDefaultError,
    MissingTypeError,
    NotBoundToInstanceError,
    OverspecifiedDefaultError,
    PropertyNotObservableError,
    PropertyRedefinitionError,
    UnserialisableTypeError,
    UnsupportedConstraintError,
)
from labthings_fastapi.errors.describing import (
    describe_exception,
)
from labthings_fastapi.errors.older import (
    LogConfigurationError,
    MessageDroppedWarning,
    NoBlobManagerError,
    NotConnectedToServerError,
    UnexpectedGarbageCollectionError,
)
from labthings_fastapi.errors.runs import (
    ActionBusyError,
    GlobalLockBusyError,
    IdempotencyKeyError,
    InvocationError,
    InvocationFinishedError,
    InvocationNotFoundError,
    NoInvocationContextError,
    NoOutputError,
    OutputNotKeptError,
    OutputNotReadyError,
    ThingBusyError,
    TooBusyError,
)
from labthings_fastapi.errors.server import (
    AffordanceNotFoundError,
    BodyTooLargeError,
    CredentialError,
    FeatureNotEnabledError,
    FolderInUseError,
    JournalInUseError,
    JournalWriteError,
    MalformedBodyError,
    NotAllowedError,
    NotOneThingError,
    RequestError,
    ServerConfigurationError,
    ServerNotRunningError,
    ThingDescriptionError,
    ThingNameError,
    ThingNotConnectedError,
    ThingNotFoundError,
    ThingNotOpenError,
    ThingSlotError,
    ThingStartError,
    UnprotectedError,
    UnsupportedMediaTypeError,
)
from labthings_fastapi.errors.user_code import (
    CausedByUserCodeError,
    InvalidReturnValueError,
    UnserialisableValueError,
)
from labthings_fastapi.errors.values import (
    BlobIncompleteError,
    BlobNotFoundError,
    InvalidReadingError,
    MediaTypeMismatchError,
    NoUrlForContextError,
    OutputSpaceError,
    PropertyNotResettableError,
    ReadOnlyPropertyError,
    SettingsWriteError,
    ValueNotSavableError,
)

__all__ = [
    "ActionBusyError",
    "ActionNameError",
    "AffordanceDefinitionError",
    "AffordanceNotFoundError",
    "BlobIncompleteError",
    "BlobNotFoundError",
    "BodyTooLargeError",
    "CausedByUserCodeError",
    "ClientError",
    "ClientPropertyError",
    "CredentialError",
    "DeclarationTypeError",
    "DefaultWillChangeWarning",
    "DescriptorAddedToClassTwiceError",
    "DescriptorNotAddedToClassError",
    "FailedToInvokeActionError",
    "FeatureNotAvailableError",
    "FeatureNotEnabledError",
    "FolderInUseError",
    "ForeignAddressError",
    "GlobalLockBusyError",
    "IdempotencyKeyError",
    "InconsistentTypeError",
    "InvalidClassSettingsError",
    "InvalidReadingError",
    "InvalidReturnValueError",
    "InvocationCancelledError",
    "InvocationError",
    "InvocationFinishedError",
    "InvocationNotFoundError",
    "JournalInUseError",
    "JournalWriteError",
    "LabThingsError",
    "LogConfigurationError",
    "MalformedBodyError",
    "MediaTypeMismatchError",
    "MessageDroppedWarning",
    "MissingDefaultError",
    "MissingTypeError",
    "NoBlobManagerError",
    "NoInvocationContextError",
    "NoOutputError",
    "NoUrlForContextError",
    "NotAllowedError",
    "NotBoundToInstanceError",
    "NotConnectedToServerError",
    "NotOneThingError",
    "OutputNotKeptError",
    "OutputNotReadyError",
    "OutputSpaceError",
    "OverspecifiedDefaultError",
    "PropertyNotObservableError",
    "PropertyNotResettableError",
    "PropertyRedefinitionError",
    "ReadOnlyPropertyError",
    "RefusedError",
    "RequestError",
    "ServerActionError",
    "ServerConfigurationError",
    "ServerNotRunningError",
    "ServerUnreachableError",
    "SettingsWriteError",
    "ThingBusyError",
    "ThingDescriptionError",
    "ThingNameError",
    "ThingNotConnectedError",
    "ThingNotFoundError",
    "ThingNotOpenError",
    "ThingSlotError",
    "ThingStartError",
    "TooBusyError",
    "UnexpectedGarbageCollectionError",
    "UnprotectedError",
    "UnserialisableTypeError",
    "UnserialisableValueError",
    "UnsupportedConstraintError",
    "UnsupportedMediaTypeError",
    "ValueNotSavableError",
    "WaitTimeoutError",
    "describe_exception",
]

for _found in list(globals().values()):
    if isinstance(_found, type) and issubclass(_found, BaseException):
        _found.__module__ = __name__  # where users find it, also in a traceback

del _found
