"""What an event changes in the panel: sent to the browser at once, and known to later events.

FiftyOne sends each value that is set on its own, and the browser draws the panel after each: with
two dozen values and a table that takes seconds. And it sends the panel's state, as it has it, with
each event, without waiting for the answers to earlier ones: of two quick choices the second would
be answered as if the first had not been made.
"""

from __future__ import annotations

import itertools
import time
from collections import OrderedDict, deque
from copy import deepcopy
from threading import Lock

import pydash

# Messages that set values, and the parameter that holds these.
STATE = "patch_panel_state"
MERGED = {STATE: "state", "patch_panel_data": "data"}
ANSWER = "answer"  # in the state: the number of the last answer that the browser has
MOST_ANSWERS = 20  # of a panel that are kept
MOST_PANELS = 100

_LOCK = Lock()
_ANSWERS: OrderedDict[tuple, deque[tuple[int, dict]]] = OrderedDict()
# Those of a server that is started again have larger numbers than those before.
_NUMBERS = itertools.count(time.time_ns() // 1_000_000)


def catch_up(ctx, own: bool = False) -> None:
    """Lay over the state, which came with an event, what answers have set that the browser had not
    received by then.

    Args:
        ctx: of the event
        own: whether what the event itself has set stays above that
    """
    state = ctx.panel_state
    has = state.get(ANSWER) or 0
    with _LOCK:
        later = [values for number, values in _ANSWERS.get(_page(ctx), ()) if number > has]
    if own:
        later += [x.params["state"] for x in _messages(ctx) if _name(x) == STATE]
    for values in later:
        for name, value in deepcopy(values).items():
            # What a list stands at is the browser's own, once it has it.
            if "." not in name or pydash.get(state, name) is None:
                pydash.set_(state, name, value)


def keep_answer(ctx) -> None:
    """Number the answer to an event, and keep what it sets in the state for `catch_up`.

    Args:
        ctx: of an event whose messages are merged
    """
    values = next((x.params["state"] for x in _messages(ctx) if _name(x) == STATE), None)
    if values is None:
        return
    with _LOCK:
        values[ANSWER] = ctx.panel_state[ANSWER] = number = next(_NUMBERS)
        _ANSWERS.setdefault(_page(ctx), deque(maxlen=MOST_ANSWERS)).append((number, values))
        _ANSWERS.move_to_end(_page(ctx))
        while len(_ANSWERS) > MOST_PANELS:
            _ANSWERS.popitem(last=False)


def _page(ctx) -> tuple:
    """The panel in one page of a browser: pages may share the panel's id."""
    return ctx.panel_id, ctx.panel_state.get("loaded_page")


def sets_state(ctx) -> bool:
    """Whether the answer to an event sets values of the state, so that the panel is to be drawn."""
    return any(_name(message) == STATE for message in _messages(ctx))


def merge_patches(ctx) -> None:
    """Merge the messages that set values of a panel into the first message of each kind.

    Args:
        ctx: the context of an event that has been handled
    """
    messages = _messages(ctx)
    firsts: dict[tuple, dict] = {}
    kept = []
    for message in messages:
        name = _name(message)
        if name not in MERGED:
            kept.append(message)
            continue
        values = message.params[MERGED[name]]
        key = name, message.params.get("panel_id")
        if key in firsts:
            firsts[key].update(values)
            continue
        firsts[key] = message.params[MERGED[name]] = dict(values)
        kept.append(message)
    messages[:] = kept


def _messages(ctx) -> list:
    return getattr(ctx.executor, "_requests", None) or []


def _name(message) -> str:
    return message.operator_uri.rsplit("/", 1)[-1]
