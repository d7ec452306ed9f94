"""Progress of long work, how it is cancelled, and reports of what was left out.

Progress is a bar in the terminal, or goes to a callback such as the App's.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from .images.decode import ImageError

# Called with (done, total, message); done and total count images.
Report = Callable[[int, int, str], None]
Progress = bool | Report | None
# What is counted comes first, as in "hidden or system files", not in "in the table, but images".
_MANY = re.compile(r"^((?!in |of )(?:[^\s,]+ ){0,3}(?:file|image|link|mask))s\b")


class CancelledError(Exception):
    """Raised by a function that is passed as `progress`, to end the work.

    The verb that was called raises it on; `fine_tune` and `predict` say in it what they keep.
    """


@contextmanager
def reporting(progress: Progress, message: str) -> Iterator[Report]:
    """Give a verb something to report to.

    Args:
        progress: a `Report` to call; or whether to draw a bar, None as FiftyOne is configured
        message: what is being done
    """
    if callable(progress):
        yield progress
        return
    import fiftyone as fo  # heavy, and not needed where a callback takes the progress

    shown = fo.config.show_progress_bars if progress is None else progress
    if not shown:
        yield lambda done, total, message: None
        return
    print(message, flush=True)
    if not sys.stdout.isatty():  # a log, where a bar would leave a line for each of its steps
        yield _quarters()
        return
    bar: list[fo.core.utils.ProgressBar] = []

    def report(done: int, total: int, message: str) -> None:
        if not bar:
            bar.append(fo.core.utils.ProgressBar(total=total, iters_str="images", progress=True))
            bar[0].__enter__()
        bar[0].set_iteration(min(done, total))

    try:
        yield report
    finally:
        if bar:
            bar[0].__exit__(None, None, None)


def _quarters() -> Report:
    """Print a line when each quarter of the work is done."""
    printed = 0

    def report(done: int, total: int, message: str) -> None:
        nonlocal printed
        quarter = 4 * done // max(total, 1)
        if printed < quarter < 4:
            print(f"  {25 * quarter}%", flush=True)
        printed = max(printed, quarter)

    return report


def tell_failures(failures: Mapping[int, ImageError]) -> None:
    """Print how many images could not be decoded, by reason, and name some."""
    reasons: dict[str, int] = {}
    for error in failures.values():
        reasons[error.reason] = reasons.get(error.reason, 0) + 1
    tell_left_out("images", reasons, [error.path for error in failures.values()])


def tell_left_out(what: str, reasons: dict[str, int], paths: Sequence[str]) -> None:
    """Print how many of something were left out, by reason, and name some."""
    if reasons:
        print(f"Left out {counted(sum(reasons.values()), what.removesuffix('s'))}:")
        for reason, count in reasons.items():
            print(f"  {counted_as(count, reason)}")
        print(f"  such as {some(paths, 3)}")


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number with what it counts, such as "1 image" and "2 images".

    Args:
        number: how many
        one, many: of one, and of any other number; None adds an "s" to the last word of `one`
    """
    return f"{number} {one if number == 1 else many or one + 's'}"


def counted_as(number: int, what: str) -> str:
    """A number with words of many, such as "2 .xml files", or "1 .xml file" of one.

    Args:
        number: how many
        what: words of which the first plural is what is counted
    """
    if number == 1:
        what = _MANY.sub(lambda found: found[1], what).replace(" their own", " its own")
    return f"{number} {what}"


def some(names: Sequence[str], count: int = 10) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(map(str, names[:count])) + more
