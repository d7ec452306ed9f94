"""Plans of imports for a form that is rebuilt while the folder is typed."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from itertools import count
from urllib.parse import quote

from ...explain.overlay import sheet
from ...folders.plan import Plan
from ...folders.planning import plan_import
from ...folders.walking import interruptible
from ...images.decode import ImageError, decode
from ...locks import own_folder

EXAMPLES, EXAMPLE_CLASSES, EXAMPLE_PIXELS = 3, 8, 96
KEEP_SECONDS = 20.0  # for a plan, while its form is filled in
MOST = 50  # requests that are remembered

_plans: dict[tuple, tuple[float, Plan, str | None]] = {}


class SupersededError(Exception):
    """The path was the beginning of one that was typed since, or the other way round."""


class Typing:
    """The paths that forms ask for: a path that is still being typed is read no further.

    On the way to /home/me/photos a form asks for /home/me too, which may hold millions of files.
    """

    def __init__(self):
        self._numbers, self._lock = count(), threading.Lock()
        self._asked: deque[tuple[int, str]] = deque(maxlen=MOST)

    def ask(self, path: str) -> int:
        """Note a request, and return its number."""
        with self._lock:
            number = next(self._numbers)
            self._asked.append((number, path))
        return number

    def check(self, number: int, path: str) -> None:
        """Raise SupersededError if a later request is for what this path has become."""
        with self._lock:
            later = [other for n, other in self._asked if n > number and other != path]
        if any(other.startswith(path) or path.startswith(other) for other in later):
            raise SupersededError


_typing = Typing()


def plan_of(given: dict) -> tuple[Plan, str | None]:
    """Return a plan, and a picture of some of its images as a URL.

    Both are cached for a while, because the form is rebuilt after each key press.

    Args:
        given: arguments of `plan_import`

    Raises:
        SupersededError: if another path was typed since
        ValueError, OSError: as in `plan_import`
    """
    key, path = tuple((name, str(value)) for name, value in given.items()), given["path"]
    number = _typing.ask(path)
    if key not in _plans or time.monotonic() - _plans[key][0] > KEEP_SECONDS:
        with interruptible(lambda: _typing.check(number, path)):
            plan = plan_import(**given)
        _plans.clear()
        _plans[key] = (time.monotonic(), plan, _examples(plan))
    return _plans[key][1:]


def _examples(plan: Plan) -> str | None:
    """Return a picture of some images of each class as a URL; None if none can be read."""
    pictures, captions = [], []
    for name, paths in list(plan.examples(EXAMPLES).items())[:EXAMPLE_CLASSES]:
        for path in paths:
            try:
                pictures.append(decode(path, at_least=EXAMPLE_PIXELS).image)
            except ImageError:
                continue
            captions.append(name)
    if not pictures:
        return None
    path = os.path.join(own_folder(), "import.jpg")
    sheet(pictures, captions, columns=2 * EXAMPLES, cell=EXAMPLE_PIXELS).save(path, quality=85)
    return f"/media?filepath={quote(path)}&of={time.time():.0f}"
