"""Opening of image files with Pillow, with a reason for files that cannot be opened."""

from __future__ import annotations

import ctypes
import glob
import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import PIL
from PIL import Image, UnidentifiedImageError

START_OF_JPEG, END_OF_JPEG = b"\xff\xd8", b"\xff\xd9"
NOT_AN_IMAGE, TRUNCATED, CORRUPT = "not an image", "truncated", "corrupt"
NOT_FOUND, BROKEN_LINK = "file not found", "broken link"


def _silence_libtiff() -> None:
    """Keep the libtiff of Pillow's packages from printing each problem of a file.

    There may be hundreds; Pillow raises an error for those that matter.
    """
    home = os.path.dirname(PIL.__file__)
    own = ("../pillow.libs/libtiff-*", ".dylibs/libtiff*")  # on Linux, on macOS
    for path in (path for name in own for path in glob.glob(os.path.join(home, name))):
        library = ctypes.CDLL(path)
        library.TIFFSetWarningHandler(None)
        library.TIFFSetErrorHandler(None)


_silence_libtiff()

_limit = threading.local()  # `pixels`: the limit of this thread while it decodes a file
_pillows_check = Image._decompression_bomb_check


def _check_size(size: tuple[int, int], **options: bool) -> None:
    """Check an image's size like Pillow, but with a separate limit for this thread if it has one.

    Pillow's limit applies to all threads at once.
    """
    most = getattr(_limit, "pixels", None)
    if most is None:
        _pillows_check(size, **options)
    elif size[0] * size[1] > most:
        raise Image.DecompressionBombError


Image._decompression_bomb_check = _check_size


# Pillow would run these with Ghostscript.
PROGRAMS = {"EPS": "PostScript, a program that is not run (convert it to PNG)"}


class ImageError(ValueError):
    """A file that cannot be used as an image; `path` is its path, and `reason` says why."""

    def __init__(self, path: str, reason: str):
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason

    def __reduce__(self):  # needed by the workers of a DataLoader
        return type(self), (self.path, self.reason)


def none_readable(count: int, first: ImageError) -> str:
    """Return the message for the case that none of some files can be read.

    Args:
        count: number of files
        first: error of the first file
    """
    said = f"None of {count} files can be read; the first is {first.path} ({first.reason})"
    if first.reason in (NOT_FOUND, BROKEN_LINK):
        said += ". If they were moved, relocate(dataset, old, new) finds them at the new place"
    return said


@dataclass(frozen=True)
class DecodeOptions:
    """Options for decoding unusual files.

    Attributes:
        keep_truncated: use the available part of truncated files; the missing part is black, or
            gray in JPEG files. Files without any visible content are still rejected
        max_pixels: maximum width x height of an image; by default (None), 178,956,970, or the limit
            that Pillow is set to
    """

    keep_truncated: bool = False
    max_pixels: int | None = None

    def __post_init__(self):
        most = self.max_pixels
        if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1):
            raise ValueError(f"max_pixels must be a whole number of at least 1, not {most!r}")


DEFAULT = DecodeOptions()


@contextmanager
def opened(
    path: str,
    options: DecodeOptions,
    source: BinaryIO | None = None,
    truncated: bool = False,
) -> Iterator[Image.Image]:
    """Open a file with Pillow; any error in the context becomes an ImageError with a reason.

    Args:
        path: path of the file
        options: see `decode`
        source: its content, if this is not to be read from the file itself
        truncated: whether the file is known to be truncated
    """
    path = os.fspath(path)
    if not os.path.exists(path):
        raise ImageError(path, _missing(path))
    if os.path.isfile(path) and os.path.getsize(path) == 0:
        raise ImageError(path, "empty file")
    _limit.pixels = options.max_pixels
    try:
        with Image.open(path if source is None else source) as image:
            if image.format in PROGRAMS:
                raise ImageError(path, PROGRAMS[image.format])
            if truncated:
                _load_what_is_there(image)
            yield image
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(path, _reason(error, options)) from error
    finally:
        _limit.pixels = None


def _missing(path: str) -> str:
    """Return why a file does not exist."""
    try:
        os.stat(path)
    except PermissionError:
        return "permission denied"
    except OSError:
        pass
    return BROKEN_LINK if os.path.islink(path) else NOT_FOUND


def ended(path: str) -> io.BytesIO:
    """Return the content of a file; of a JPEG file, plus the end marker that its decoder expects.

    Other decoders may take the marker for image data, and fail.
    """
    with open(path, "rb") as file:
        content = file.read()
    return io.BytesIO(content + END_OF_JPEG if content.startswith(START_OF_JPEG) else content)


def _load_what_is_there(image: Image.Image) -> None:
    """Load a truncated file: Pillow raises an error after decoding the available part."""
    try:
        image.load()
    except OSError:
        if not image.tile:
            raise
        image.tile = []  # nothing is left to decode


_REASONS = (
    (UnidentifiedImageError, NOT_AN_IMAGE),
    (PermissionError, "permission denied"),
    (IsADirectoryError, "a folder, not a file"),
    (MemoryError, "too large for the memory"),
)


def _reason(error: Exception, options: DecodeOptions) -> str:
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        most = options.max_pixels or 2 * (Image.MAX_IMAGE_PIXELS or 0)
        return f"more than {most} pixels (raise max_pixels to allow it)"
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return reason
    return TRUNCATED if "truncated" in str(error).lower() else CORRUPT
