"""How long a job still takes."""

from __future__ import annotations

LEAST_SHARE, LEAST_SECONDS = 0.004, 4.0  # before which a pace says nothing
TRUSTED_SHARE = 1 / 3  # of the work, after which only the measured pace counts


def seconds_left(
    share: float,
    seconds: float,
    first_share: float = 0.0,
    first_seconds: float = 0.0,
    expected: float | None = None,
) -> float | None:
    """Estimate the remaining time of a job.

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
    if gained > LEAST_SHARE and seconds > LEAST_SECONDS and took > 0:
        measured = took * (1 - share) / gained
    if measured is None or planned is None:
        return planned if measured is None else measured
    weight = min(1.0, gained / TRUSTED_SHARE)
    return weight * measured + (1 - weight) * planned
