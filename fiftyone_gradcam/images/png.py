"""PNG files with damaged ancillary chunks, which are skipped, as in browsers."""

from __future__ import annotations

import io
import struct
import zlib
from bisect import bisect_right
from itertools import accumulate
from typing import BinaryIO

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Minimum size in bytes of a valid tRNS chunk, by the color type in the header.
TRANSPARENCY = {0: 2, 2: 6, 3: 1}
MOST_BYTES = 1 << 20  # maximum size of an ancillary chunk that is kept
COLOR_TYPE = 25  # position of this byte in the file


class EssentialChunks(io.RawIOBase):
    """A PNG file as a stream, without chunks that are not needed to show it.

    Critical chunks are kept unchanged, damaged or not. Of the ancillary chunks, transparency and
    EXIF data (the orientation) are kept if they are valid. Memory does not grow with the file.

    Args:
        path: path of the file

    Attributes:
        is_shorter: whether anything is left out; False if the file is not a PNG
    """

    def __init__(self, path: str):
        super().__init__()
        self._file = open(path, "rb")  # noqa: SIM115 (closed by `close`)
        try:
            size = self._file.seek(0, io.SEEK_END)
            self._spans = _essential(self._file, size)
        except BaseException:
            self._file.close()
            raise
        # Where each span starts in the stream, and where the last one ends.
        self._begins = [0, *accumulate(end - start for start, end in self._spans)]
        self._size = self._begins[-1]
        self.is_shorter = bool(self._spans) and self._size < size
        self._place = 0

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position in the stream."""
        self._place = offset + {0: 0, 1: self._place, 2: self._size}[whence]
        return self._place

    def readinto(self, buffer: bytearray) -> int:
        """Read the next bytes, up to the end of a span."""
        if self._place >= self._size:
            return 0
        number = bisect_right(self._begins, self._place) - 1
        start = self._spans[number][0]
        self._file.seek(start + self._place - self._begins[number])
        data = self._file.read(min(len(buffer), self._begins[number + 1] - self._place))
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)


def _essential(file: BinaryIO, size: int) -> list[tuple[int, int]]:
    """Return the spans (start, end) of a file that are kept; empty if it is not a PNG."""
    file.seek(0)
    if file.read(len(SIGNATURE)) != SIGNATURE:
        return []
    spans, place = [(0, len(SIGNATURE))], len(SIGNATURE)
    while place + 8 <= size:
        file.seek(place)
        length, kind = struct.unpack(">I4s", file.read(8))
        if not kind.isalpha():  # out of sync: the rest cannot be parsed
            break
        end = place + 12 + length
        if kind[:1].isupper() or _is_sound(file, kind, length):
            if spans[-1][1] == place:
                place = spans.pop()[0]
            spans.append((place, min(end, size)))
        place = end
    return spans


def _is_sound(file: BinaryIO, kind: bytes, length: int) -> bool:
    """Return whether to keep an ancillary chunk, whose data come next in the file."""
    if kind not in (b"tRNS", b"eXIf") or length > MOST_BYTES:
        return False
    data = file.read(length)
    if len(data) < length or zlib.crc32(kind + data) != int.from_bytes(file.read(4), "big"):
        return False
    if kind == b"eXIf":
        return True
    file.seek(COLOR_TYPE)
    shortest = TRANSPARENCY.get(file.read(1)[0])
    return shortest is not None and length >= shortest
