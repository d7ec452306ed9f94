"""What becomes of a hostile input: a clear error or a sound result, in time, with nothing beside.

Writes and commands are seen where all of them pass, in Python's audit events.
"""

from __future__ import annotations

import linecache
import os
import random
import re
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import matplotlib
from audit import FILE_WRITES, written_path

import fiftyone_gradcam as fg
from fiftyone_gradcam.folders.patterns import HELPER
from fiftyone_gradcam.locks import own_folder

SECONDS = 10.0  # of work of this process, for a busy machine is nobody's fault
WAITING_SECONDS = 60.0  # in all: what waits in vain does no work
LONGEST = 2500  # characters of a message
SAMPLE = 6  # inputs of each kind in the default suite
ALLOWED = (ValueError, TypeError, OSError, fg.CancelledError)  # of OSError is ConnectionError, too
HERE = os.path.dirname(os.path.realpath(__file__))
PACKAGE = os.path.dirname(os.path.realpath(fg.__file__))
# What Python, pickle or the database say by themselves, which helps nobody.
INTERNALS = re.compile(
    r"object has no attribute|object is not|not subscriptable|unsupported operand|unhashable"
    r"|list ind|recursion|'NoneType'|<class '|Traceback|codec can't|object at 0x|invalid load key"
    r"|persistent_id|not supported between|positional argument|unexpected keyword|E11000"
    r"|mongoengine|OperationFailure|InvalidDocument|cannot encode object|embedded null|Error\('"
    r"|make no sense|out of range for|can only concatenate|must be str|full error",
    re.IGNORECASE,
)
REPEATED = re.compile(r"(.{1,4}?)\1{40,}", re.DOTALL)
COUNTS: Counter = Counter()  # inputs by verb, kind and outcome
WRITES = (*FILE_WRITES, "os.chmod")
RUNS = (
    *("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "subprocess.Popen"),
    "pty.spawn",
)
MARKER = "executed"


class HangError(BaseException):
    """An input took too long; no code may take this for one of its own errors."""


@dataclass(frozen=True)
class Input:
    """A hostile input.

    Attributes:
        verb: what it is given to, for the counts
        kind: of input, for the counts
        what: what is hostile about it, for the report
        call: gives it to the code
        named: of these an error must name one
        check: what must hold of a result that is accepted
    """

    verb: str
    kind: str
    what: str
    call: Callable[[], object]
    named: Sequence[str] = ()
    check: Callable[[object], None] = lambda result: None


@dataclass
class Guard:
    """Sees what is written and run."""

    folders: tuple[str, ...] = ()
    found: list[str] = field(default_factory=list)
    is_on: bool = False

    def hook(self, event: str, args: tuple) -> None:
        """Called by Python before each event."""
        if not self.is_on:
            return
        if event in RUNS:
            if event != "subprocess.Popen" or not _is_own(args[1]):
                self.found.append(f"{event} {args!r:.200}")
            return
        path = written_path(event, args, WRITES)
        if path is None:
            return
        if path != os.devnull and "__pycache__" not in path and not self._is_inside(path):
            self.found.append(f"{event} {path}")

    def _is_inside(self, path: str) -> bool:
        return any(path == x or path.startswith(x + os.sep) for x in self.folders)


def _is_own(command: Sequence) -> bool:
    """Whether a command is one of this package's helpers."""
    own = [sys.executable, "-P", "-m"]
    return HELPER in command or (
        list(command[:3]) == own and str(command[3]).startswith("fiftyone_gradcam.jobs.")
    )


matplotlib.get_cachedir()  # it is made by whoever plots first
_guard = Guard()
sys.addaudithook(_guard.hook)


def _alarm(*_: object) -> None:
    raise HangError


def attempt(item: Input, inside: Iterable[object] = ()) -> Exception | None:
    """Give an input to the code, and judge what comes of it.

    Args:
        item: the input
        inside: folders in which it may write

    Returns:
        the error; None if the input was accepted

    Raises:
        AssertionError: if it ended otherwise than it may
    """
    assert threading.current_thread() is threading.main_thread()
    before = {which: signal.signal(which, _alarm) for which in (signal.SIGALRM, signal.SIGPROF)}
    _guard.folders = (*(os.path.abspath(x) for x in map(str, inside)), str(own_folder()))
    _guard.found = []
    error = result = None
    start = time.process_time()
    signal.setitimer(signal.ITIMER_REAL, WAITING_SECONDS)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        _guard.is_on = True
        result = item.call()
    except BaseException as raised:
        error = raised
    finally:
        _guard.is_on = False
        for timer in (signal.ITIMER_REAL, signal.ITIMER_PROF):
            signal.setitimer(timer, 0)
        for which, handler in before.items():
            signal.signal(which, handler)
    seconds = time.process_time() - start
    what = f"{item.verb}, {item.kind}: {item.what:.300}"
    assert not isinstance(error, HangError), f"{what}: hangs"
    assert seconds < SECONDS, f"{what}: took {seconds:.1f} s"
    assert not _guard.found, f"{what}: {_guard.found}"
    if error is None:
        try:
            item.check(result)
        except Exception as fault:
            raise AssertionError(f"{what}: accepted, but {fault!r:.300}") from fault
    else:
        if isinstance(error, KeyboardInterrupt):
            raise error
        fault = fault_of(error, item.named)
        assert fault is None, f"{what}: {fault}: {type(error).__name__}: {error!s:.600}"
    COUNTS[item.verb, item.kind, "refused" if error else "accepted"] += 1
    return error


def fault_of(error: BaseException, named: Sequence[str] = ()) -> str | None:
    """What is wrong with an error; None if it is a clear one."""
    if not isinstance(error, ALLOWED):
        return "unclear error"
    if not isinstance(error, OSError) and not _is_raised(error):
        return "error that nobody raised on purpose"
    return fault_of_words(str(error), named)


def fault_of_words(words: str, named: Sequence[str] = ()) -> str | None:
    """What is wrong with a message; None if it is a clear one."""
    words = REPEATED.sub(r"\1…", words)  # an argument of a million letters, as it was given
    if len(words) > LONGEST:
        return f"a message of {len(words)} characters"
    if found := INTERNALS.search(words):
        return f"says {found.group()!r}"
    if len(words.split()) < 2:
        return "says next to nothing"
    if named and not any(name in words for name in named):
        return f"does not name any of {list(named)}"
    return None


def _is_raised(error: BaseException) -> bool:
    """Whether the error comes from a `raise` of this package, and not from below."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None:
        return False
    code = last.tb_frame.f_code
    line = linecache.getline(code.co_filename, last.tb_lineno).strip()
    path = os.path.realpath(code.co_filename)  # the plugin's folder is a link
    is_ours = path.startswith((PACKAGE, HERE))  # or of a test that reads a form
    return is_ours and line.startswith("raise")


def judge_all(inputs: Iterable[Input], inside: Iterable[object], after=None) -> None:
    """Judge some inputs, and say all that is wrong with them.

    Args:
        inputs: some of a kind
        inside: folders in which they may write
        after: is called with each input and its error, for more to be seen
    """
    inside, faults = list(inside), []
    for item in inputs:
        try:
            error = attempt(item, inside)
            if after is not None:
                after(item, error)
        except AssertionError as fault:
            faults.append(str(fault)[:1200])
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(faults[:40])


def some(inputs: Sequence[Input], seed: object, count: int = SAMPLE) -> list[Input]:
    """A sample of inputs, the same each time."""
    return random.Random(str(seed)).sample(list(inputs), min(count, len(inputs)))


def tree_of(*folders: object) -> dict[str, tuple]:
    """All files and folders below some, by size and time."""
    found = {}
    for root in map(str, folders):
        for home, inner, names in os.walk(root):
            for name in (*inner, *names):
                path = os.path.join(home, name)
                facts = os.lstat(path)
                is_folder = os.path.isdir(path)
                found[path] = () if is_folder else (facts.st_size, facts.st_mtime_ns)
    return found
