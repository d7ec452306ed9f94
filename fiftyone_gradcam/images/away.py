"""Files that cannot be read for the moment, such as those of a drive that is not mounted."""

from __future__ import annotations

import os

from .opening import BROKEN_LINK, NOT_FOUND, ImageError


def is_away(error: ImageError) -> bool:
    """Whether a file could not be read at all, so that nothing is known of what it holds."""
    cause = error.__cause__
    # The errors of a decoder have no number; those of the system have.
    return error.reason in (NOT_FOUND, BROKEN_LINK) or (
        isinstance(cause, OSError) and cause.errno is not None
    )


def away_files(paths: list[str]) -> list[int]:
    """Positions of files that are not there, or may not be read."""
    return [i for i, path in enumerate(paths) if not os.access(path, os.R_OK)]
