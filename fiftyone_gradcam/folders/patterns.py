"""A user's pattern, tried in a process of its own that can be ended: a regular expression can
take longer than the universe, and Python's cannot be interrupted from within."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

SECONDS = 1.0  # for the pattern itself, and for each chunk of paths
SECONDS_PER_PATH = 50e-6  # and in all, beside that one second; good patterns take 2e-6
READY_SECONDS = 60.0  # until Python has started; a pattern is not blamed for a busy machine
CHUNK = 1000  # paths
LONGEST = 10_000  # characters
EXAMPLE = r"For 1_0001.jpg it could be (?P<label>\d+)_\d+\.jpg$"
# The other process: a line of JSON for each line of JSON. It imports nothing of this package.
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

Groups = tuple[str | None, str | None]  # what the groups "label" and "split" have found


@lru_cache(maxsize=64)
def check_pattern(pattern: str | None) -> None:
    """Refuse what cannot be a pattern.

    Raises:
        ValueError: if it is not a valid regular expression, has no group named "label", or takes
            longer than a second to be read
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
    """Search a pattern in paths, and stop if that takes too long.

    Args:
        pattern: a regular expression with a group named "label"
        paths: in which it is searched

    Returns:
        what the groups "label" and "split" have found in each path; None where they have not

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
    """A process that has read a pattern; yields a function that asks it about paths."""
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
        except OSError:  # it has ended
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
        process.stdin.close()
        process.stdout.close()
