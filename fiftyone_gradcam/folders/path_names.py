"""Names that become names of files and folders: of splits, classes, runs, fields and images.

What comes out of these functions can be written on every common file system, and never leads out
of the folder that it is meant for.
"""

from __future__ import annotations

import os
import re
import unicodedata

MOST_BYTES = 255  # of a name, on common file systems
MOST_SUFFIX_BYTES = 32  # what is longer is not an extension
# What Windows refuses; a surrogate is a byte of a name that is not text.
_REFUSED = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*\ud800-\udfff\u2028\u2029]')
_RESERVED = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])\s*(?:\..*)?", re.I
)


def fault_of(name: str, most: int = MOST_BYTES) -> str | None:
    """Why a name cannot be that of a file or folder everywhere; None if it can.

    Args:
        name: the name alone, without a path
        most: bytes that it may have
    """
    refused = _REFUSED.search(name)
    faults = {
        "it is empty": not name.strip(),
        f"it contains {refused.group()!r}" if refused else "": refused is not None,
        "it begins with a dot": name.startswith("."),
        "it begins or ends with a space": name != name.strip(),
        "it ends with a dot": name.endswith("."),
        "Windows keeps this name for a device": _RESERVED.fullmatch(name) is not None,
        f"it is longer than {most} bytes": len(name.encode(errors="replace")) > most,
    }
    return next((words for words, is_so in faults.items() if is_so), None)


def check_name(name: str, what: str, most: int = MOST_BYTES) -> None:
    """Refuse a name that cannot be that of a file or folder everywhere.

    Args:
        name: the name alone, without a path
        what: has the name, such as "A split"
        most: bytes that it may have

    Raises:
        ValueError: naming it and the remedy
    """
    if fault := fault_of(name, most):
        shown = name if len(name) <= 60 else f"{name[:60]}…"
        raise ValueError(
            f"{what} cannot be called {shown!r}: {fault}, and the name becomes that of a file or "
            f"folder. Use letters, digits, '-' and '_'"
        )


def safe_name(text: str, suffix: str = "", most: int = MOST_BYTES) -> str:
    """A text as a name that every file system takes.

    What is refused becomes "_", and what is too long is cut, between letters.

    Args:
        text: any text
        suffix: follows it, such as ".png"; it is kept whole
        most: bytes that the whole may have
    """
    name = _REFUSED.sub("_", text).strip()
    if name.startswith("."):
        name = f"_{name[1:]}"
    name = _cut(name, most - len(suffix.encode()))
    if name.endswith(".") and not suffix:
        name = f"{name[:-1]}_"
    if _RESERVED.fullmatch(name + suffix):
        name = _cut(f"_{name}", most - len(suffix.encode()))
    return (name or "_") + suffix


def unique_name(name: str, taken: set[str], most: int = MOST_BYTES) -> str:
    """A name that none of those taken equals; it is then taken too.

    Names that differ in case or in the composition of letters are equal, for some file systems do
    not tell them apart.

    Args:
        name: as `safe_name` returns it; of two that are equal, the second becomes "name_2"
        taken: what was given out, by `same`; is added to
        most: bytes that it may have
    """
    stem, suffix = split_suffix(name)
    found, number = name, 1
    while same(found) in taken:
        number += 1
        found = f"{_cut(stem, most - len(f'_{number}{suffix}'.encode()))}_{number}{suffix}"
    taken.add(same(found))
    return found


def same(name: str) -> str:
    """What is equal for names that some file systems do not tell apart."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def split_suffix(name: str) -> tuple[str, str]:
    """A name's stem, and its extension."""
    stem, suffix = os.path.splitext(name)
    return (stem, suffix) if len(suffix.encode()) <= MOST_SUFFIX_BYTES else (name, "")


def inside(folder: str, *parts: str) -> str:
    """A path below a folder.

    Raises:
        ValueError: if the parts lead out of it
    """
    path = os.path.join(folder, *parts)
    # The names alone count: links that a user has put there are followed.
    home = os.path.join(os.path.abspath(folder), "")
    if "\0" in path or not os.path.abspath(path).startswith(home):
        raise ValueError(f"{os.path.join(*parts)!r} leads out of the folder {folder!r}")
    return path


def _cut(text: str, most: int) -> str:
    """The beginning of a text, in at most so many bytes, without half a letter at the end."""
    if len(text.encode()) <= most:
        return text
    cut = text.encode()[:most].decode(errors="ignore")
    whole = len(cut)
    while whole > 1 and unicodedata.combining(text[whole]):  # an accent of the letter before
        whole -= 1
    return cut[:whole].rstrip(" .")
