"""The socket on which the fork server of an environment listens."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import sysconfig
from pathlib import Path

from ..locks import own_folder

ROOT = Path(__file__).resolve().parents[1]
STARTING = ".starting"  # suffix of the lock file that a process holds to start a fork server
# Environment variable of a process that should start a fork server if there is none.
START = "FIFTYONE_GRADCAM_FORK_SERVER"
# Variables of a terminal or desktop, which no module reads when it is imported.
PASSING = frozenset(
    ["_", "SHLVL", "PWD", "OLDPWD", "LINES", "COLUMNS", "TERM", "COLORTERM", "LS_COLORS", START]
)
PASSING_STARTS = (
    *("SSH_", "XDG_SESSION", "DBUS_", "VSCODE_", "JPY_", "TERM_", "LC_TERMINAL", "WINDOW"),
    *("TMUX", "PYTEST_", "GPG_", "INVOCATION_", "JOURNAL_"),
)


def socket_path(environment: dict[str, str]) -> Path:
    """Return the path of the socket of the fork server for an environment.

    The path changes with the code, the installed packages and FiftyOne's configuration.
    """
    own = {
        name: value
        for name, value in environment.items()
        if name not in PASSING and not name.startswith(PASSING_STARTS)
    }
    facts = json.dumps([sys.executable, own, code()], sort_keys=True)
    return own_folder() / f"{hashlib.sha256(facts.encode()).hexdigest()[:24]}.forks"


def code() -> list:
    """Return facts that change when the code or configuration that is imported changes."""
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
