"""Decoding of images in separate processes, into memory shared with this process.

Many threads in one process wait for Python's lock between the parts of decoding that release it.
The processes import only Pillow and NumPy, and start in a fraction of a second. Unlike those of
`multiprocessing`, they are not copies of this process and do not run its main module again.
"""

from __future__ import annotations

import errno
import mmap
import os
import pickle
import queue
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from .decode import decode
from .geometry import smallest_side, to_square
from .opening import DecodeOptions, ImageError

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = f"from {__name__} import serve; serve()"
Answer = tuple[int, int] | ImageError  # (width, height) of the whole upright image

# Windows cannot pass open files to a process.
CAN_SHARE = os.name == "posix"


class EndedError(RuntimeError):
    """A decoding process has ended."""


class Decoders:
    """Decoding processes, and the memory that they share.

    Args:
        count: number of processes
        rows: number of images that fit in the memory
        size, resize, options: as in `batches.Images`

    Attributes:
        pixels: (rows, size, size, 3) uint8
    """

    def __init__(self, count: int, rows: int, size: int, resize: str, options: DecodeOptions):
        shape = (max(1, rows), size, size, 3)
        self._file = _unnamed_file(int(np.prod(shape)))
        self._memory = mmap.mmap(self._file, int(np.prod(shape)))
        self.pixels = np.frombuffer(self._memory, np.uint8).reshape(shape)
        self._free: queue.Queue[subprocess.Popen] = queue.Queue()
        self._all: list[subprocess.Popen] = []
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        header = pickle.dumps((self._file, shape, resize, options))
        try:
            for _ in range(count):
                child = subprocess.Popen(
                    [sys.executable, "-P", "-c", PROGRAM],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    pass_fds=[self._file],
                    env=os.environ | {"PYTHONPATH": path},
                )
                self._all.append(child)
                self._free.put(child)
                child.stdin.write(header)
        except BaseException:
            self.close()
            raise

    def decode(self, rows: Sequence[int], paths: Sequence[str]) -> list[Answer]:
        """Decode files into rows of the memory, in a free process; wait for the result.

        Raises:
            EndedError: if the process ends before it answers
        """
        child = self._free.get()
        try:
            pickle.dump(list(zip(rows, paths, strict=True)), child.stdin)
            child.stdin.flush()
            found = [_answer(*one) for one in pickle.load(child.stdout)]
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            self._free.put(child)  # the next use raises the same error
            raise EndedError from error
        self._free.put(child)
        return found

    def close(self) -> None:
        """Terminate the processes, and wait until they have ended."""
        for child in self._all:
            for pipe in (child.stdin, child.stdout):
                try:
                    pipe.close()
                except OSError:  # unsent data for a process that has ended
                    continue
        for child in self._all:
            child.kill()
            child.wait()
        os.close(self._file)


@contextmanager
def decoders(
    count: int, rows: int, size: int, resize: str, options: DecodeOptions
) -> Iterator[Decoders]:
    """Provide decoding processes within a context; see `Decoders`."""
    found = Decoders(count, rows, size, resize, options)
    try:
        yield found
    finally:
        found.close()


def _unnamed_file(size: int) -> int:
    """Return an open file without a name that processes can share, in memory if possible."""
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("gradcam-decoded")
    else:
        file, path = tempfile.mkstemp()
        os.unlink(path)
    os.ftruncate(file, size)
    return file


def _answer(width: int, height: int, failed: tuple[str, str, int | None] | None) -> Answer:
    if failed is None:
        return width, height
    path, reason, number = failed
    error = ImageError(path, reason)
    if number is not None:  # an error of the operating system: the file could not be read at all
        error.__cause__ = OSError(number, os.strerror(number), path)
    return error


def serve() -> None:
    """Decode the images requested on standard input until it ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # other output goes to standard error
    questions = sys.stdin.buffer
    file, shape, resize, options = pickle.load(questions)
    pixels = np.frombuffer(mmap.mmap(file, int(np.prod(shape))), np.uint8).reshape(shape)
    least = smallest_side(resize, shape[1])
    while True:
        try:
            asked = pickle.load(questions)
        except (EOFError, KeyboardInterrupt):
            return
        found = []
        for row, path in asked:
            try:
                decoded = decode(path, least, options)
                pixels[row] = to_square(decoded.image, shape[1], resize)
                found.append((decoded.width, decoded.height, None))
            except ImageError as error:
                number = getattr(error.__cause__, "errno", None)
                known = number if number in errno.errorcode else None
                found.append((0, 0, (error.path, error.reason, known)))
        try:
            pickle.dump(found, answers)
            answers.flush()
        except BrokenPipeError:
            return
