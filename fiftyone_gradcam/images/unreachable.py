"""Files that cannot be read at the moment, for example on a drive that is not mounted."""

from __future__ import annotations

import os

from .opening import BROKEN_LINK, NOT_FOUND, ImageError


def is_unreachable(error: ImageError) -> bool:
    """Return whether a file could not be read at all, so that its content is unknown."""
    cause = error.__cause__
    # Errors of the operating system have a number, those of a decoder do not.
    return error.reason in (NOT_FOUND, BROKEN_LINK) or (
        isinstance(cause, OSError) and cause.errno is not None
    )


def unreachable_files(paths: list[str]) -> list[int]:
    """Return positions of files that do not exist, or that may not be read."""
    return [i for i, path in enumerate(paths) if not os.access(path, os.R_OK)]
