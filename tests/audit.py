"""Python's audit events of files: which of them write, and where."""

from __future__ import annotations

import os

FILE_WRITES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink")
TO_SECOND = ("os.rename", "os.link", "os.symlink")  # what is written is their second argument


def written_path(event: str, args: tuple, events: tuple[str, ...] = FILE_WRITES) -> str | None:
    """The absolute path of what an audit event writes, makes or removes; None if it does not.

    Args:
        event: its name, as `sys.addaudithook` gives it
        args: its arguments
        events: that count, beside files opened for writing
    """
    directory = -1
    if event == "open":
        path, mode, flags = args
        is_write = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if not is_write and not (mode and set(mode) & set("wax+")):
            return None
    elif event in events:
        path = args[1] if event in TO_SECOND else args[0]
        directory = args[-1] if isinstance(args[-1], int) else -1
    else:
        return None
    if not isinstance(path, str | bytes | os.PathLike):
        return None  # an open file by its number
    path = os.fsdecode(path)
    if not os.path.isabs(path) and directory >= 0:
        path = os.path.join(os.readlink(f"/proc/self/fd/{directory}"), path)
    return os.path.abspath(path)
