"""A comparison of two runs as plain values to show: a headline, a table, and a verdict."""

from __future__ import annotations

from ..review.comparison import Pairs
from .texts import percent, shortened

MOST = 30  # maximum number of characters of a run's name in the table


def compared(pairs: Pairs, a: str, b: str) -> dict:
    """Describe a comparison.

    Args:
        pairs: the results of both
        a, b: names of the first and of the second, such as run keys

    Returns:
        a dictionary with the "headline", the "verdict", and the "rows" of a table; each row has the
        "result", the "name" to show, the "count" and the "share"
    """
    first, second = (repr(shortened(name, MOST)) for name in (a, b))
    rows = [
        {
            "result": result,
            "name": name,
            "count": f"{count:,}",
            "share": percent(count / pairs.count),
        }
        for result, name, count in pairs.outcomes(first, second)
    ]
    return {"headline": pairs.headline(a, b), "verdict": pairs.verdict(a, b), "rows": rows}
