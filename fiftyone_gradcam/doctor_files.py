"""The part of `doctor` that finds files that are no longer used, and deletes them after asking."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from .dataset.files import files_folder
from .dataset.leftovers import Leftover, find_leftovers, free
from .progress import counted


def report_leftovers(fix: bool = False, yes: bool = False, named: Sequence[str] = ()) -> bool:
    """List files that are no longer used, and delete them if requested and confirmed.

    Args:
        fix: ask whether to delete unused files of this database
        yes: do not ask
        named: additional folders whose files are deleted, even if another database may use them

    Returns:
        whether everything that was named could be deleted
    """
    found = find_leftovers()
    home = files_folder()
    if not found:
        print(f"ok    no unused files in {home}")
    for entry in found:
        print(f"note  {entry}")
    wanted = [entry for entry in found if entry.is_known] if fix else []
    is_well = True
    for name in named:
        matching = [x for x in found if _is_named(x, name)]
        if not matching:
            print(f"FAIL  {name}: no such folder is listed above; nothing was deleted in it")
            is_well = False
        wanted += [entry for entry in matching if entry not in wanted]
    if not wanted:
        if any(entry.is_known for entry in found):
            print("      `python -m fiftyone_gradcam doctor --fix` deletes them, after asking")
        if unknown := [entry for entry in found if not entry.is_known]:
            print(
                f"      If no other database has its files in {home}: `python -m fiftyone_gradcam "
                f"doctor --free {unknown[0].folder}` deletes them, after asking"
            )
        return is_well
    if not (yes or _agrees(wanted)):
        print("      Nothing was deleted")
        return is_well
    for entry in wanted:
        try:
            count, size = free(entry)
        except (OSError, TimeoutError) as error:
            print(f"FAIL  {entry.folder}: {error}")
            is_well = False
        else:
            print(f"fix   deleted {counted(count, 'file')}, {size / 1e6:.1f} MB, in {entry.folder}")
    return is_well


def _is_named(entry: Leftover, name: str) -> bool:
    return os.path.realpath(os.path.expanduser(name)) == os.path.realpath(entry.folder)


def _agrees(wanted: Sequence[Leftover]) -> bool:
    """Ask the user; without a terminal, the answer is no."""
    count, size = sum(len(x.files) for x in wanted), sum(x.size for x in wanted) / 1e6
    if not sys.stdin or not sys.stdin.isatty():
        print("      There is no terminal to ask in: pass --yes to delete them")
        return False
    answer = input(f"      Delete {counted(count, 'file')} ({size:.1f} MB) for good? [y/N] ")
    return answer.strip().lower() in ("y", "yes")
