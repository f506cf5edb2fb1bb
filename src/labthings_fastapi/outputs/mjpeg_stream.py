"""A live stream of JPEG pictures, as cameras send it (M-JPEG over HTTP)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, overload

from .frame_stream import FrameStream, FrameStreamDescriptor

if TYPE_CHECKING:
    from typing import Self

_START, _END = b"\xff\xd8", b"\xff\xd9"  # ISO/IEC 10918-1, B.1.1.3: SOI and EOI


class MJPEGStream(FrameStream[bytes]):
    """The newest pictures of a camera, each a complete JPEG file. Any thread may use it."""

    media_type: ClassVar[str] = "image/jpeg"

    def encode(self, frame: bytes) -> bytes:
        """Return the picture itself."""
        return frame

    def check(self, frame: Any) -> bytes:
        """Return a picture as bytes.

        Raises:
            ValueError: it is no complete JPEG file.
            TypeError: it is not made of bytes.
        """
        if not isinstance(frame, bytes | bytearray | memoryview):
            raise TypeError(
                "A frame of an MJPEG stream is a JPEG file as bytes, and no "
                f"{type(frame).__name__}."
            )
        data = bytes(frame)
        if not (data.startswith(_START) and data.endswith(_END)):
            ends = f"{data[:2].hex(' ')} … {data[-2:].hex(' ')}"
            raise ValueError(
                "A frame of an MJPEG stream is a complete JPEG file: it begins with FF D8 and ends "
                f"with FF D9. This one has {len(data)} bytes: {ends}."
            )
        return data


class MJPEGStreamDescriptor(FrameStreamDescriptor[bytes]):
    """Declares a live stream of pictures, served at the attribute's path below its Thing.

    ::

        class Camera(lt.Thing):
            stream = lt.outputs.MJPEGStreamDescriptor()

            def on_picture(self, jpeg: bytes) -> None:
                self.stream.add_frame(jpeg)

    `GET …/stream` is the stream, `…/stream/viewer` a page that shows it, and `…/stream/snapshot`
    the newest picture.
    """

    stream_class: ClassVar[Any] = MJPEGStream

    if TYPE_CHECKING:

        @overload
        def __get__(self, obj: None, owner: type | None = None) -> Self: ...

        @overload
        def __get__(self, obj: object, owner: type | None = None) -> MJPEGStream: ...

        def __get__(self, obj: Any, owner: type | None = None) -> Any: ...
