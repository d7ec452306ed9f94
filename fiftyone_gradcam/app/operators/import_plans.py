"""Plans of imports for a form that is rebuilt while the folder is typed."""

from __future__ import annotations

import os
import time
from urllib.parse import quote

from ...explain.overlay import sheet
from ...folders.plan import Plan
from ...folders.planning import plan_import
from ...folders.walking import interruptible
from ...images.decode import ImageError, decode
from ...locks import own_folder

EXAMPLES, EXAMPLE_CLASSES, EXAMPLE_PIXELS = 3, 8, 96
KEEP_SECONDS = 20.0  # for a plan, while its form is filled in; longer if it took long
KEEP_TIMES = 10  # the seconds that a plan took are kept so many times
# For reading a folder. FiftyOne's server answers nothing else meanwhile, and on the way to
# /home/me/photos the form asks for /home/me too.
MOST_SECONDS = 4.0

_plans: dict[tuple, tuple[float, Plan, str | None]] = {}


class SlowFolderError(Exception):
    """Reading a folder takes longer than a form may wait."""


def plan_of(given: dict, is_patient: bool = False) -> tuple[Plan, str | None]:
    """Return a plan, and a picture of some of its images as a URL.

    Both are cached for a while, because the form is rebuilt after each key press.

    Args:
        given: arguments of `plan_import`
        is_patient: whether to wait for as long as it takes

    Raises:
        SlowFolderError: if reading the folder takes too long
        ValueError, OSError: as in `plan_import`
    """
    key, began = tuple((name, str(value)) for name, value in given.items()), time.monotonic()

    def check() -> None:
        if not is_patient and time.monotonic() - began > MOST_SECONDS:
            raise SlowFolderError

    if key not in _plans or began > _plans[key][0]:
        with interruptible(check):
            plan = plan_import(**given)
        now = time.monotonic()
        _plans.clear()
        until = now + max(KEEP_SECONDS, KEEP_TIMES * (now - began))
        _plans[key] = (until, plan, _examples(plan))
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
    path = os.path.join(own_folder(), "import.webp")
    picture = sheet(pictures, captions, 2 * EXAMPLES, EXAMPLE_PIXELS, clear=True)
    picture.save(path, quality=85)
    return f"/media?filepath={quote(path)}&of={time.time():.0f}"
