"""How long a job still takes."""

from __future__ import annotations

import math

LEAST_SHARE, LEAST_SECONDS = 0.02, 10.0  # of measured work, before which a pace says nothing
TRUSTED_SHARE = 0.15  # of the work, after which only the measured pace counts
SMOOTHING_SECONDS = 10.0  # in which a shown time comes closer to an estimate, by a factor of e
# A shown time is kept while the estimate is longer by less than this factor or these seconds.
TOO_SHORT, TOO_SHORT_SECONDS = 1.5, 5.0


def seconds_left(
    share: float,
    seconds: float,
    first_share: float = 0.0,
    first_seconds: float = 0.0,
    expected: float | None = None,
) -> float | None:
    """Estimate the remaining time of a job at one moment.

    At first it is what was expected; the further the work is, the more the measured pace counts.

    Args:
        share: completed fraction of the work, in [0, 1]
        seconds: time since the job started
        first_share: fraction that was complete when the work started, such as the epochs before a
            resumed training
        first_seconds: time from the start of the job to the start of the work
        expected: estimate of the whole time made before the job started, in seconds; None if there
            is none

    Returns:
        seconds; None if there is no estimate yet
    """
    gained, took = share - first_share, seconds - first_seconds
    planned = None if expected is None or seconds >= expected else expected - seconds
    measured = None
    if gained >= LEAST_SHARE and took >= LEAST_SECONDS:
        measured = took * (1 - share) / gained
    if measured is None or planned is None:
        return planned if measured is None else measured
    weight = min(1.0, gained / TRUSTED_SHARE)
    return weight * measured + (1 - weight) * planned


class Pace:
    """The remaining time of a job that is shown while the job reports its progress.

    Estimates of a moment go up and down: images are decoded in batches, steps differ in speed, and
    nothing is reported while a network is loaded. The shown time therefore changes only when the
    work advances. It counts down with the clock, and comes gradually closer to the estimate. It
    increases only if the estimate is 1.5 times as long, and then at once, so that a job that slows
    down does not count up.

    Args:
        expected: see `seconds_left`
    """

    def __init__(self, expected: float | None = None):
        self._expected = expected
        # The share and the seconds of the first report, and of the one that was last shown.
        self._first = self._last = None
        self._left: float | None = None

    def update(self, share: float, seconds: float) -> float | None:
        """Return the remaining time to show after a report, in seconds; None if it is not known.

        Args:
            share: completed fraction of the work, in [0, 1]
            seconds: time since the job started
        """
        if self._first is None:
            self._first = self._last = share, seconds
        elif share <= self._last[0]:
            return self._left
        found = seconds_left(share, seconds, *self._first, self._expected)
        if found is not None:
            self._left = self._steady(found, seconds - self._last[1])
        self._last = share, seconds
        return self._left

    def _steady(self, found: float, passed: float) -> float:
        """Return the time to show for an estimate, some seconds after the last one."""
        left = self._left
        if left is None or found >= max(TOO_SHORT * left, left + TOO_SHORT_SECONDS):
            return found
        if found >= left:
            return left
        by_clock = max(left - passed, 0.0)
        weight = 1 - math.exp(-passed / SMOOTHING_SECONDS)
        return by_clock + weight * (found - by_clock)
