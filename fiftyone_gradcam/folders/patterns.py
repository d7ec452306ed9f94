"""Search with a user's regular expression, in a separate process that can be terminated.

Some regular expressions take practically forever, and Python's cannot be interrupted.
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache

SECONDS = 1.0  # to compile the pattern, and for each chunk of paths
SECONDS_PER_PATH = 50e-6  # added to the total limit of one second; good patterns take 2e-6
READY_SECONDS = 60.0  # for Python to start, so that a busy machine is not blamed on the pattern
CHUNK = 1000  # paths
LONGEST = 10_000  # characters
EXAMPLE = r"For 1_0001.jpg it could be (?P<label>\d+)_\d+\.jpg$"
# Code of the other process: one line of JSON in, one line out. It does not import this package.
HELPER = r"""
import json, re, sys
def answer(what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()
answer("ready")
try:
    pattern = re.compile(json.loads(sys.stdin.readline()))
    answer([None, sorted(pattern.groupindex)])
except (re.error, RecursionError, OverflowError, MemoryError) as error:
    answer([str(error) or type(error).__name__, []])
for line in sys.stdin:
    found = [pattern.search(path) for path in json.loads(line)]
    answer([[one and one.groupdict().get(name) for name in ("label", "split")] if one
            else [None, None] for one in found])
"""

Groups = tuple[str | None, str | None]  # matches of the groups "label" and "split"


@lru_cache(maxsize=64)
def check_pattern(pattern: str | None) -> None:
    """Check a pattern.

    Raises:
        ValueError: if it is not a valid regular expression, has no group named "label", or takes
            longer than a second to compile
    """
    if not pattern:
        raise ValueError(f"A pattern is needed, with a group named 'label'. {EXAMPLE}")
    if len(pattern) > LONGEST:
        raise ValueError(
            f"pattern {pattern[:40]!r}... has {len(pattern)} characters. At most {LONGEST} are read"
        )
    with _helper(pattern):
        pass


def search_all(pattern: str, paths: Sequence[str]) -> list[Groups]:
    """Search a pattern in paths, with a time limit.

    Args:
        pattern: a regular expression with a group named "label"
        paths: the paths to search

    Returns:
        matches of the groups "label" and "split" in each path; None for no match

    Raises:
        ValueError: see `check_pattern`; or if the pattern takes more than a second
    """
    check_pattern(pattern)
    found: list[Groups] = []
    with _helper(pattern) as ask:
        left = SECONDS + SECONDS_PER_PATH * len(paths)
        for start in range(0, len(paths), CHUNK):
            answers, seconds = ask(list(paths[start : start + CHUNK]), min(SECONDS, left))
            left -= seconds
            found += [tuple(groups) for groups in answers]
    return found


@contextmanager
def _helper(pattern: str) -> Iterator:
    """Start a process with a pattern; yield a function that searches paths in it."""
    answers: queue.Queue[str] = queue.Queue()
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", HELPER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="ascii",
    )

    def listen() -> None:
        for line in process.stdout:
            answers.put(line)
        answers.put("")

    def ask(what: object, seconds: float) -> tuple:
        start = time.monotonic()
        try:
            if what is not None:
                process.stdin.write(json.dumps(what) + "\n")
                process.stdin.flush()
            line = answers.get(timeout=max(seconds, 0.0))
        except queue.Empty:
            line = None
        except OSError:  # the process has ended
            line = ""
        if line is None and what is not None:
            raise ValueError(
                f"pattern {pattern[:200]!r} takes more than a second on these paths. Repetitions "
                f"inside repetitions, such as ([a-z]+)+, do that: write [a-z]+"
            )
        if not line and what is not None:
            raise ValueError(
                f"pattern {pattern[:200]!r} needs too much memory. Write a simpler one"
            )
        if not line:
            raise RuntimeError("The process that searches patterns did not start. Try again")
        return json.loads(line), time.monotonic() - start

    listener = threading.Thread(target=listen, name="gradcam-pattern", daemon=True)
    listener.start()
    try:
        ask(None, READY_SECONDS)
        (error, groups), _ = ask(pattern, SECONDS)
        if error:
            raise ValueError(
                f"pattern {pattern[:200]!r} is not a valid regular expression: {error}"
            )
        if "label" not in groups:
            raise ValueError(f"pattern {pattern[:200]!r} has no group named 'label'. {EXAMPLE}")
        yield ask
    finally:
        process.kill()
        process.wait()
        listener.join()
        with suppress(OSError):  # unsent data for a process that has ended
            process.stdin.close()
        process.stdout.close()
