"""Keep on the server what only the server needs of a panel's state.

FiftyOne stores a panel's state with the layout of the page. Whenever the browser receives values of
the state, it saves the layout, asks for the page again and draws it, for about a second of
processor time. The output of a panel is drawn without this. So the values that only `render` reads
stay on the server, and values that have not changed are not sent.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from copy import deepcopy
from threading import Lock

import pydash

from .patches import MOST_PANELS, STATE, messages_of, name_of, page_of

# Clicks refer to what was shown, even if the server has newer values: what they need is not here,
# or is sent with the click (see `draw_plot`).
ON_SERVER = frozenset(
    {
        *("steps", "next", "mark", "stale", "stale_due", "remarks", "old_jobs", "heatmaps"),
        *("times", "times_due", "times_waits"),
        *("cards", "earlier", "is_busy", "training", "findings", "picture_path"),
        *("trained_job", "pictured_job"),
        *("prediction_fields", "parts", "label_field"),
        *("can_review", "has_runs", "is_judged", "card", "review_words", "classes"),
        *("runs", "run_rows", "run_keys", "other_measures", "run_plot", "run_words"),
        *("can_resume_run", "is_before_review"),
        "newest_run_at",
        *("evaluation_words", "confusion", "matrix_title", "pair_title", "class_title"),
        *("reliability_words", "reliability"),
        *("comparison_words", "compared"),
        *(
            "scored",
            "bar_classes",
            "scored_words",
            "below",
            "above",
            "histogram",
            "bar_title",
            "bars",
        ),
    }
)

_LOCK = Lock()
_VALUES: OrderedDict[tuple, dict] = OrderedDict()


def load(ctx, own: bool = False) -> bool:
    """Add the values that are kept on the server to the state of an event.

    Args:
        ctx: the context of the event
        own: whether values that the event itself has set take precedence

    Returns:
        whether the server has values of this page; it has none after a restart
    """
    with _LOCK:
        values = _VALUES.get(page_of(ctx))
    if values is None:
        return False
    changed = {name for one in _sets(ctx) for name in one} if own else ()
    for name, value in values.items():
        if name not in changed:
            ctx.panel_state[name] = deepcopy(value)
    return True


def keep(ctx) -> None:
    """Keep values on the server that would be sent to the browser.

    Args:
        ctx: the context of an event whose messages are merged
    """
    with _LOCK:
        values = _VALUES.setdefault(page_of(ctx), {})
        _VALUES.move_to_end(page_of(ctx))
        while len(_VALUES) > MOST_PANELS:
            _VALUES.popitem(last=False)
        for name in ON_SERVER & ctx.panel_state.keys():
            values[name] = ctx.panel_state[name]
    for one in _sets(ctx):
        for name in ON_SERVER & one.keys():
            del one[name]
    _drop_empty(ctx)


def drop_unchanged(ctx, before: dict) -> None:
    """Drop values of the state that are as they were.

    Args:
        ctx: the context of an event whose messages are merged
        before: the state before it
    """
    for one in _sets(ctx):
        for name, value in list(one.items()):
            if _text(pydash.get(before, name)) == _text(value):
                del one[name]
    _drop_empty(ctx)


def _sets(ctx) -> list[dict]:
    """Return the values of the state that an event sets, by message."""
    return [x.params["state"] for x in messages_of(ctx) if name_of(x) == STATE]


def _drop_empty(ctx) -> None:
    messages = messages_of(ctx)
    messages[:] = [x for x in messages if name_of(x) != STATE or x.params["state"]]


def _text(value: object) -> str:
    """Return the value as it is sent: a tuple is a list then."""
    return json.dumps(value, default=str, sort_keys=True)
