"""Progress reports and cancellation of long operations, and messages about files that were left
out.

Progress is shown as a bar in the terminal, or passed to a function such as the App's.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from .images.decode import ImageError

# Is called with (done, total, message): how much of the work is done, such as how many images.
Report = Callable[[int, int, str], None]
Progress = bool | Report | None
LEAST_STEPS = 1000  # in which the progress of an operation with several steps is reported
# Reasons to leave out a file that are said of several with a plural.
_OF_ONE_FILE = {
    "broken link": "broken links",
    "empty file": "empty files",
    "file not found": "files not found",
}
# The counted noun is near the start, as in "hidden or system files"; phrases that start with "in"
# or "of" are not changed, such as "in the table, but images".
_MANY = re.compile(r"^((?!in |of )(?:[^\s,]+ ){0,3}?(?:file|image|link|mask))s\b")


class CancelledError(Exception):
    """Raise this in a `progress` function to cancel an operation.

    The operation raises it again; the messages of `fine_tune` and `predict` say what was kept.
    """


@contextmanager
def reporting(progress: Progress, message: str) -> Iterator[Report]:
    """Provide a function that an operation reports its progress to.

    Args:
        progress: a `Report` to call; or whether to show a progress bar, where None means FiftyOne's
            setting `show_progress_bars`
        message: what the operation does
    """
    if callable(progress):
        yield progress
        return
    import fiftyone as fo  # slow to import, and not needed with a callback

    shown = fo.config.show_progress_bars if progress is None else progress
    if not shown:
        yield lambda done, total, message: None
        return
    print(message, flush=True)
    if not sys.stdout.isatty():  # in a log file, a bar would add a line at each step
        yield _quarters()
        return
    bar: list[fo.core.utils.ProgressBar] = []

    def report(done: int, total: int, message: str) -> None:
        if not bar:
            bar.append(fo.core.utils.ProgressBar(total=total, iters_str="images", progress=True))
            bar[0].__enter__()
        bar[0].set_iteration(done)

    try:
        yield report
    finally:
        if bar:
            bar[0].__exit__(None, None, None)


class _Step:
    """The progress of one step of an operation.

    Args:
        take: called with the share of the step that is done, from 0 to 1, and a message
        shrink: called with the share of its work that does not count
    """

    def __init__(self, take: Callable[[float, str], None], shrink: Callable[[float], None]):
        self._take, self._shrink, self._before = take, shrink, 0.0

    def __call__(self, done: int, total: int, message: str) -> None:
        share = min(max(done / total, 0.0), 1.0) if total else 0.0
        left = 1 - self._before
        self._take((share - self._before) / left if left else 1.0, message)

    def skip(self, done: int, total: int) -> None:
        """See `skip`."""
        self._before = done / total if total else 0.0
        self._shrink(self._before)


def skip(report: Report, done: int, total: int) -> None:
    """Let the part of a step that was done before, and is only read, count as no work.

    Args:
        report: the progress of the step
        done, total: how much of the step was done before it starts, and its size
    """
    if isinstance(report, _Step):
        report.skip(done, total)


def shares_of(progress: Progress, *sizes: float) -> tuple[Progress, ...]:
    """Divide the progress of an operation among its steps, which are done one after the other.

    A function is called with the progress of the whole operation, which never decreases. A bar
    in the terminal stays one for each step.

    Args:
        progress: of the operation
        sizes: the work of each step, in the same unit. A step that reports nothing before the next
            one does was not needed, and does not count

    Returns:
        the `progress` argument for each step
    """
    if not callable(progress):
        return (progress,) * len(sizes)
    own, total, most = list(sizes), max(round(sum(sizes)), LEAST_STEPS), 0
    started: set[int] = set()

    def step(number: int) -> _Step:
        def take(share: float, message: str) -> None:
            nonlocal most
            if number not in started:
                started.add(number)
                own[:number] = [x if i in started else 0 for i, x in enumerate(own[:number])]
            whole = (sum(own[:number]) + share * own[number]) / (sum(own) or 1)
            most = max(most, round(whole * total))
            progress(most, total, message)

        def shrink(share: float) -> None:
            own[number] *= 1 - share

        return _Step(take, shrink)

    return tuple(step(number) for number in range(len(sizes)))


def _quarters() -> Report:
    """Return a function that prints a line when each quarter of the work is done."""
    printed = 0

    def report(done: int, total: int, message: str) -> None:
        nonlocal printed
        quarter = 4 * done // max(total, 1)
        if printed < quarter < 4:
            print(f"  {25 * quarter}%", flush=True)
        printed = max(printed, quarter)

    return report


def report_failures(failures: Mapping[int, ImageError]) -> None:
    """Print how many images could not be decoded, by reason, with some examples."""
    reasons: dict[str, int] = {}
    for error in failures.values():
        reasons[error.reason] = reasons.get(error.reason, 0) + 1
    report_left_out("images", reasons, [error.path for error in failures.values()])


def report_left_out(what: str, reasons: dict[str, int], paths: Sequence[str]) -> None:
    """Print how many files were left out, by reason, with some examples."""
    if reasons:
        print(f"Left out {counted(sum(reasons.values()), what.removesuffix('s'))}:")
        for reason, count in reasons.items():
            print(f"  {counted_as(count, reason)}")
        print(f"  such as {some(paths, 3)}")


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun, such as "1 image" and "2 images".

    Args:
        number: the number
        one, many: singular and plural noun; by default (None), the plural is `one` with an "s"
    """
    return f"{number} {one if number == 1 else many or one + 's'}"


def counted_as(number: int, what: str) -> str:
    """Return a number with a phrase, such as "2 .xml files" or "1 .xml file".

    Args:
        number: the number
        what: a phrase in the plural, whose first plural noun is counted; or the reason why a single
            file is left out
    """
    if number != 1:
        what = _OF_ONE_FILE.get(what, what)
    else:
        what = _MANY.sub(lambda found: found[1], what).replace(" their own", " its own")
    return f"{number} {what}"


def some(names: Sequence[str], count: int = 10) -> str:
    """Return the first names of a list as text, with the number of the others."""
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(map(str, names[:count])) + more
