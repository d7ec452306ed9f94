"""Where the nursery for an environment listens."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import sysconfig
from pathlib import Path

from ..locks import own_folder

ROOT = Path(__file__).resolve().parents[1]
FOUNDING = ".founding"  # of the file by which one process at a time founds a nursery
# Set for a process that is to found a nursery, if there is none.
FOUND = "FIFTYONE_GRADCAM_NURSERY"
# Of a terminal or a desktop: no module looks at them when it is imported.
PASSING = frozenset(
    ["_", "SHLVL", "PWD", "OLDPWD", "LINES", "COLUMNS", "TERM", "COLORTERM", "LS_COLORS", FOUND]
)
PASSING_STARTS = (
    *("SSH_", "XDG_SESSION", "DBUS_", "VSCODE_", "JPY_", "TERM_", "LC_TERMINAL", "WINDOW"),
    *("TMUX", "PYTEST_", "GPG_", "INVOCATION_", "JOURNAL_"),
)


def socket_path(environment: dict[str, str]) -> Path:
    """Where the nursery for an environment listens.

    It is another one when the code, the installed packages or FiftyOne's configuration changes.
    """
    own = {
        name: value
        for name, value in environment.items()
        if name not in PASSING and not name.startswith(PASSING_STARTS)
    }
    facts = json.dumps([sys.executable, own, code()], sort_keys=True)
    return own_folder() / f"{hashlib.sha256(facts.encode()).hexdigest()[:24]}.nursery"


def code() -> list:
    """Facts that change with what would be imported."""
    packages = Path(sysconfig.get_paths()["purelib"])
    home = os.path.expanduser("~")
    files = [packages, *sorted(ROOT.rglob("*.py"))]
    files += sorted(Path(home, ".fiftyone").glob("*.json"))  # FiftyOne's settings
    facts = []
    for path in files:
        try:
            found = path.stat()
        except OSError:
            continue
        facts.append([str(path), found.st_mtime_ns, found.st_size if path != packages else 0])
    return facts
