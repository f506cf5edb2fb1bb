"""A live stream of numpy arrays, for analysis: the newest frames as `.npy`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, overload

from .frame_stream import FrameStream, FrameStreamDescriptor
from .npy import NPY, SENT_KINDS, is_array, npy_bytes

if TYPE_CHECKING:
    from typing import Self

    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


class ArrayStream(FrameStream[Any]):
    """The newest arrays of a camera or a digitiser. Any thread may use it.

    Arrays are not copied: give each frame an array of its own, or a copy of the driver's buffer.
    """

    media_type: ClassVar[str] = NPY

    def encode(self, frame: Array) -> bytes:
        """Return the array as a `.npy` file."""
        return npy_bytes(frame)

    def check(self, frame: Any) -> Array:
        """Return the array.

        Raises:
            TypeError: it is no numpy array.
            ValueError: its dtype cannot be sent.
        """
        if not is_array(frame):
            raise TypeError(
                f"A frame of an array stream is a numpy array, and no {type(frame).__name__}."
            )
        if frame.dtype.kind not in SENT_KINDS:
            raise ValueError(
                f"A frame of an array stream has numbers or booleans, and not {frame.dtype}."
            )
        array: Array = frame
        return array


class ArrayStreamDescriptor(FrameStreamDescriptor[Any]):
    """Declares a live stream of arrays, served at the attribute's path below its Thing.

    ::

        class Camera(lt.Thing):
            raw = lt.outputs.ArrayStreamDescriptor()

            def on_frame(self, buffer: np.ndarray) -> None:
                self.raw.add_frame(buffer.copy())

    `GET …/raw` is the stream, and `…/raw/snapshot` the newest array, as `.npy`.
    """

    stream_class: ClassVar[Any] = ArrayStream

    if TYPE_CHECKING:

        @overload
        def __get__(self, obj: None, owner: type | None = None) -> Self: ...

        @overload
        def __get__(self, obj: object, owner: type | None = None) -> ArrayStream: ...

        def __get__(self, obj: Any, owner: type | None = None) -> Any: ...
