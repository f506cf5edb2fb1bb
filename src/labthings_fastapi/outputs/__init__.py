"""Values that are not JSON: images, files, streams."""

from .array_stream import ArrayStream, ArrayStreamDescriptor
from .mjpeg_stream import MJPEGStream, MJPEGStreamDescriptor

__all__ = ["ArrayStream", "ArrayStreamDescriptor", "MJPEGStream", "MJPEGStreamDescriptor"]
