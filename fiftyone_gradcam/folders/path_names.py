"""Names that become names of files and folders: of splits, classes, runs, fields and images.

The results of these functions can be written on every common file system, and never lead out of
their folder.
"""

from __future__ import annotations

import os
import re
import unicodedata

MOST_BYTES = 255  # maximum size of a name on common file systems
MOST_SUFFIX_BYTES = 32  # a longer suffix is not an extension
# Characters that Windows rejects; a surrogate is a byte of a name that is not text.
_REFUSED = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*\ud800-\udfff\u2028\u2029]')
_RESERVED = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])\s*(?:\..*)?", re.I
)


def fault_of(name: str, most: int = MOST_BYTES) -> str | None:
    """Return why a name is not valid for a file or folder on all systems; None if it is valid.

    Args:
        name: the name alone, without a path
        most: maximum size in bytes
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
    """Check that a name is valid for a file or folder on all systems.

    Args:
        name: the name alone, without a path
        what: what has the name, such as "A split"
        most: maximum size in bytes

    Raises:
        ValueError: if it is not; the message names it and the remedy
    """
    if fault := fault_of(name, most):
        shown = name if len(name) <= 60 else f"{name[:60]}…"
        raise ValueError(
            f"{what} cannot be called {shown!r}: {fault}, and the name becomes that of a file or "
            f"folder. Use letters, digits, '-' and '_'"
        )


def safe_name(text: str, suffix: str = "", most: int = MOST_BYTES) -> str:
    """Convert a text to a name that is valid on every file system.

    Invalid characters become "_", and long names are cut between characters.

    Args:
        text: any text
        suffix: appended, such as ".png"; never cut
        most: maximum size in bytes, including the suffix
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
    """Return a name that differs from all names in use, and mark it as used.

    Names that differ only in case or Unicode normalization are considered equal, because some file
    systems do not distinguish them.

    Args:
        name: a result of `safe_name`; if it is in use, it becomes "name_2"
        taken: names in use, converted by `same`; the result is added
        most: maximum size in bytes
    """
    stem, suffix = split_suffix(name)
    found, number = name, 1
    while same(found) in taken:
        number += 1
        found = f"{_cut(stem, most - len(f'_{number}{suffix}'.encode()))}_{number}{suffix}"
    taken.add(same(found))
    return found


def same(name: str) -> str:
    """Return a key that is equal for names that some file systems do not distinguish."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def split_suffix(name: str) -> tuple[str, str]:
    """Return the stem and the extension of a name."""
    stem, suffix = os.path.splitext(name)
    return (stem, suffix) if len(suffix.encode()) <= MOST_SUFFIX_BYTES else (name, "")


def inside(folder: str, *parts: str) -> str:
    """Return a path below a folder.

    Raises:
        ValueError: if the parts lead out of the folder
    """
    path = os.path.join(folder, *parts)
    # Only names are checked: links created by the user are followed.
    home = os.path.join(os.path.abspath(folder), "")
    if "\0" in path or not os.path.abspath(path).startswith(home):
        raise ValueError(f"{os.path.join(*parts)!r} leads out of the folder {folder!r}")
    return path


def _cut(text: str, most: int) -> str:
    """Cut a text to a size in bytes, without splitting the last character."""
    if len(text.encode()) <= most:
        return text
    cut = text.encode()[:most].decode(errors="ignore")
    whole = len(cut)
    while whole > 1 and unicodedata.combining(text[whole]):  # an accent of the preceding letter
        whole -= 1
    return cut[:whole].rstrip(" .")
