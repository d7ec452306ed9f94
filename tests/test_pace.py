"""The remaining time that the App shows: steady, and no number before it can be trusted."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from fiftyone_gradcam.jobs.pace import Pace, seconds_left

# Seconds and shares of two jobs on 398 photos, with mobilenet_v2 on a busy CPU: finding label
# issues, which compares resize methods first, and a training of two epochs.
FINDING = [
    (3.19, 0.046),
    (5.8, 0.093),
    (7.8, 0.139),
    (10.79, 0.186),
    (13.33, 0.232),
    (16.58, 0.279),
    (19.77, 0.325),
    (22.58, 0.371),
    (24.84, 0.418),
    (26.47, 0.465),
    (28.12, 0.511),
    (29.69, 0.557),
    (30.99, 0.603),
    (32.27, 0.650),
    (33.83, 0.693),
    (34.76, 0.697),
    (35.28, 0.724),
    (35.9, 0.746),
    (36.49, 0.764),
    (37, 0.783),
    (37.58, 0.801),
    (38.18, 0.826),
    (38.83, 0.844),
    (39.49, 0.866),
    (40.12, 0.884),
    (40.68, 0.903),
    (41.24, 0.921),
    (41.77, 0.943),
    (42.31, 0.965),
    (42.94, 0.986),
    (43.24, 1.000),
]
TRAINING = [
    (0.54, 0.002),
    (1.64, 0.031),
    (2.83, 0.063),
    (3.96, 0.092),
    (5, 0.116),
    (6.16, 0.142),
    (7.84, 0.162),
    (11.64, 0.212),
    (13.84, 0.261),
    (15.83, 0.310),
    (18.29, 0.359),
    (21.46, 0.407),
    (25.37, 0.456),
    (28.68, 0.505),
    (30.8, 0.538),
    (31.91, 0.561),
    (34.6, 0.593),
    (38.61, 0.642),
    (42.57, 0.691),
    (46.78, 0.740),
    (50.84, 0.789),
    (55.41, 0.838),
    (58.95, 0.886),
    (62.7, 0.934),
    (63.87, 0.958),
    (64.94, 0.973),
    (64.94, 0.973),
]


def shown(reports, expected=None):
    """The time that is shown after each report (seconds, share)."""
    pace = Pace(expected)
    return [pace.update(share, seconds) for seconds, share in reports]


def rises(values):
    """How often a shown time is longer than the one before."""
    known = [x for x in values if x is not None]
    return sum(b > a for a, b in pairwise(known))


def test_nothing_is_shown_before_it_can_be_trusted():
    # A pace is measured from the first report, over ten seconds and a fiftieth of the work.
    assert shown([(30, 0.0), (39, 0.09)]) == [None, None]
    assert shown([(0, 0.0), (60, 0.019)]) == [None, None]
    assert shown([(30, 0.0), (40, 0.1)]) == [None, pytest.approx(90)]
    assert shown([(0, 0.5), (20, 0.6)]) == [None, pytest.approx(80)]  # resumed at a half
    # What a form has estimated is shown at once.
    assert shown([(2, 0.0), (4, 0.0)], expected=88) == [86, 86]


def test_a_pace_counts_from_a_fiftieth_of_the_work_and_ten_seconds_on():
    assert seconds_left(0.02, 10.0) == pytest.approx(490)
    # A fiftieth is 2 of the 15 parts after which only the pace counts.
    assert seconds_left(0.02, 10.0, expected=50.0) == pytest.approx((2 * 490 + 13 * 40) / 15)
    assert seconds_left(0.019, 10.0, expected=50.0) == 40.0
    assert seconds_left(0.02, 9.9, expected=50.0) == pytest.approx(40.1)
    # An expected time that is over says nothing.
    for seconds in (100.0, 101.0):
        assert seconds_left(0.01, seconds, expected=100.0) is None
        assert seconds_left(0.1, seconds, expected=100.0) == pytest.approx(9 * seconds)
    pace = Pace(20.0)
    assert pace.update(0.0, 2.0) == 18.0
    assert pace.update(0.005, 25.0) == 18.0  # nothing better is known


def test_a_steady_job_counts_down_with_the_clock():
    found = shown([(second, second / 200) for second in range(201)])
    assert found[:10] == [None] * 10
    assert found[10:] == pytest.approx([200 - second for second in range(10, 201)], abs=1e-6)


def test_a_shown_time_comes_closer_to_a_shorter_one_by_a_known_factor():
    pace = Pace()
    pace.update(0.0, 0.0)
    assert pace.update(0.1, 20.0) == pytest.approx(180)
    # 25 s for 0.5: as long again is left, and 175 by the clock. 5 s count by 1 - exp(-5 / 10).
    weight = 1 - math.exp(-0.5)
    assert pace.update(0.5, 25.0) == pytest.approx(175 + weight * (25 - 175))


def test_a_time_that_is_a_little_longer_is_not_shown_and_a_much_longer_one_at_once():
    pace = Pace()
    pace.update(0.0, 0.0)
    assert pace.update(0.5, 50.0) == pytest.approx(50)
    assert pace.update(0.52, 70.0) == pytest.approx(50)  # 70 / .52 * .48 = 64.6
    assert pace.update(0.53, 100.0) == pytest.approx(100 / 0.53 * 0.47)  # 88.7 > 1.5 * 50
    # At exactly 1.5 times the time, and at exactly the same.
    assert Pace()._steady(3.0, 10.0) == 3.0
    for found, steady in ((50.0, 50.0), (74.9, 50.0), (75.0, 75.0)):
        pace._left = 50.0
        assert pace._steady(found, 10.0) == steady
    # Of a few seconds, a few more are no news.
    pace = Pace()
    pace.update(0.0, 0.0)
    assert pace.update(0.9, 36.0) == pytest.approx(4)
    assert pace.update(0.91, 80.0) == pytest.approx(4)  # 7.9
    assert pace.update(0.92, 120.0) == pytest.approx(120 / 0.92 * 0.08)  # 10.4


def test_a_job_that_stands_still_does_not_count_up():
    pace = Pace()
    pace.update(0.0, 0.0)
    first = pace.update(0.09, 24.0)
    for second in range(25, 120):
        assert pace.update(0.09, float(second)) == first
    # The same reports, estimated again at each look, as it was: from 4 to 20 minutes.
    before = [seconds_left(0.09, second) for second in range(24, 120)]
    assert before[-1] > 4.9 * before[0]


@pytest.mark.parametrize(("reports", "most"), [(FINDING, 17), (TRAINING, 14)])
def test_of_jobs_as_they_were_the_shown_time_never_rises(reports, most):
    end, found = reports[-1][0], shown(reports)
    assert rises(found) == 0
    off = [
        abs(left - (end - seconds))
        for (seconds, _), left in zip(reports, found, strict=True)
        if left is not None
    ]
    assert len(off) > len(reports) / 2
    assert max(off) < most
    # Looked at each second, the estimate of the moment went up whenever nothing was reported.
    looks = [
        seconds_left([share for at, share in reports if at <= second][-1], second)
        for second in range(int(reports[0][0]) + 1, int(end))
    ]
    assert rises(looks) > 5
