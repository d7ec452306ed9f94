"""Reading every file of a plan: what is an image, and what is told of it."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from PIL import Image

from ..images.decode import ImageError, decode
from .plan import Item

AHEAD = 256  # files read or waiting to be taken
EXTENSIONS = {"jpg": "JPEG", "jpeg": "JPEG", "jpe": "JPEG", "tif": "TIFF", "tiff": "TIFF"}
# What browsers show; other images are learnt from, and not seen in the App.
SHOWN = frozenset(("JPEG", "PNG", "GIF", "WEBP", "BMP", "AVIF", "ICO", "MPO"))
MIME_TYPES = {"MPO": "image/jpeg"}


@dataclass(frozen=True)
class Facts:
    """What is told of an image.

    Attributes:
        width, height: in pixels, upright
        num_channels: such as 3
        size_bytes: of the file
        mime_type: by its content
        digest: equal for equal files; None of a file that no other is as large as
        note: what is odd about it; None if nothing is
    """

    width: int
    height: int
    num_channels: int
    size_bytes: int
    mime_type: str | None
    digest: str | None = None
    note: str | None = None


def verify(items: Sequence[Item]) -> Iterator[tuple[Item, Facts | ImageError]]:
    """Decode files, some at a time, in their order; every byte is read.

    Memory does not grow with their number.
    """
    sizes = Counter(item.size for item in items)
    rest = iter(items)

    def read(item: Item) -> Facts | ImageError:
        try:
            return facts_of(item.path, sizes[item.size] > 1)
        except ImageError as error:
            return error

    with ThreadPoolExecutor(os.cpu_count(), "gradcam-import") as pool:
        try:
            waiting = deque((item, pool.submit(read, item)) for item in islice(rest, AHEAD))
            while waiting:
                item, future = waiting.popleft()
                found = future.result()
                waiting.extend((item, pool.submit(read, item)) for item in islice(rest, 1))
                yield item, found
        finally:
            pool.shutdown(cancel_futures=True)


def facts_of(path: str, with_digest: bool = False) -> Facts:
    """Decode a file.

    Raises:
        ImageError: if it is no whole image
    """
    image = decode(path, at_least=1)  # an eighth of a JPEG's cost, and yet every byte is read
    digest = None
    if with_digest:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    return Facts(
        image.width,
        image.height,
        image.num_channels,
        os.path.getsize(path),
        MIME_TYPES.get(image.format) or Image.MIME.get(image.format),
        digest,
        _note(path, image.format),
    )


def _note(path: str, kind: str) -> str | None:
    extension = os.path.splitext(path)[1][1:].lower()
    named = EXTENSIONS.get(extension) or Image.registered_extensions().get(f".{extension}")
    if not extension:
        return f"{kind} files without an extension"
    if named != kind and not {named, kind} <= {"JPEG", "MPO"}:
        return f"{kind} files that are called .{extension}"
    return None if kind in SHOWN else f"{kind} files, which browsers do not show"
