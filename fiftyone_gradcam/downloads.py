"""Download a file completely or not at all; the progress is reported, and can cancel it."""

from __future__ import annotations

import hashlib
import os
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .disk import remove_parts, whole_file

SECONDS = 30  # without an answer, after which the network counts as lost
BLOCK, MB = 2**20, 2**20  # bytes
STALE_SECONDS = 3600.0  # after which an incomplete file is no longer being written

Note = Callable[[str], None]
_notes: list[Note] = []  # of this process, the last one counts: a job has a process of its own


@contextmanager
def downloads_noted(note: Note) -> Iterator[None]:
    """Report downloads of this process to a function, instead of printing them.

    Args:
        note: is called with a message after each block; an exception that it raises cancels the
            download
    """
    _notes.append(note)
    try:
        yield
    finally:
        _notes.remove(note)


def download(url: str, path: str, what: str, digest: str = "", most: int | None = None) -> None:
    """Download a file; nothing is left behind if this fails or is canceled.

    Incomplete files that killed processes left in the same folder are deleted after an hour.

    Args:
        url: the address of the file
        path: where to write it; its folder is created if it does not exist
        what: what it is, in words
        digest: the start of its SHA-256 in hexadecimal digits; by default (""), any content is kept
        most: the maximum size in bytes; by default (None), any

    Raises:
        OSError, http.client.HTTPException: if there is no connection, or `path` cannot be written
        ValueError: if the file is incomplete, too large, or not the expected one
    """
    remove_parts(os.path.dirname(os.path.abspath(path)), STALE_SECONDS)
    request = urllib.request.Request(url, headers={"User-Agent": "fiftyone-gradcam"})
    found, done, printed = hashlib.sha256(), 0, 0
    note = _notes[-1] if _notes else None
    with (
        urllib.request.urlopen(request, timeout=SECONDS) as answer,
        whole_file(path) as part,
        open(part, "wb") as file,
    ):
        total = int(answer.headers.get("Content-Length") or 0)
        if note is None:
            print(f"Downloading {what}" + (f" ({_mb(total)} MB)" if total else ""), flush=True)
        while True:
            if note is not None:
                note(f"Downloading {what}: {_mb(done)}{f' of {_mb(total)}' if total else ''} MB")
            if not (block := answer.read(BLOCK)):
                break
            file.write(block)
            found.update(block)
            done += len(block)
            if most is not None and done > most:
                raise ValueError(f"it has more than {_mb(most)} MB")
            quarter = 4 * done // total if total else 0
            if note is None and printed < quarter < 4:
                print(f"  {25 * quarter}%", flush=True)
            printed = max(printed, quarter)
        if done < total:
            raise ValueError(f"it ended after {done:,} of {total:,} bytes")
        if not found.hexdigest().startswith(digest):
            raise ValueError(
                f"its SHA-256 should start with {digest!r}, but it is {found.hexdigest()!r}"
            )


def _mb(size: float) -> str:
    return f"{size / MB:.0f}"
