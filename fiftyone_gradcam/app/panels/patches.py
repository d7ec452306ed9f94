"""Send the values that an event changes in the panel together, and apply them to later events.

FiftyOne sends each value separately, and the browser redraws the panel after each. With two dozen
values and a table, this takes seconds. Besides, the browser sends its version of the panel's state
with each event, without waiting for the answers to earlier events. Without `catch_up`, the second
of two quick choices would be handled as if the first had not been made.
"""

from __future__ import annotations

import itertools
import time
from collections import OrderedDict, deque
from copy import deepcopy
from threading import Lock

import pydash

STATE = "patch_panel_state"  # the name of messages that set values
ANSWER = "answer"  # key in the state: the number of the last answer that the browser has received
MOST_ANSWERS = 20  # number of answers that are kept for each panel
MOST_PANELS = 100

_LOCK = Lock()
_ANSWERS: OrderedDict[tuple, deque[tuple[int, dict]]] = OrderedDict()
# Starts with the time, so that numbers are larger after a restart of the server.
_NUMBERS = itertools.count(time.time_ns() // 1_000_000)


def catch_up(ctx, own: bool = False) -> None:
    """Update the state of an event with the answers that the browser had not received before it.

    Args:
        ctx: the context of the event
        own: whether values that the event itself has set take precedence
    """
    state = ctx.panel_state
    has = state.get(ANSWER) or 0
    with _LOCK:
        later = [values for number, values in _ANSWERS.get(page_of(ctx), ()) if number > has]
    if own:
        later += [x.params["state"] for x in messages_of(ctx) if name_of(x) == STATE]
    for values in later:
        for name, value in deepcopy(values).items():
            # The browser sets the selection of a list, once it has one.
            if "." not in name or pydash.get(state, name) is None:
                pydash.set_(state, name, value)


def keep_answer(ctx) -> None:
    """Number the answer to an event, and store its values of the state for `catch_up`.

    Args:
        ctx: the context of an event whose messages are merged
    """
    values = next((x.params["state"] for x in messages_of(ctx) if name_of(x) == STATE), None)
    if values is None:
        return
    with _LOCK:
        values[ANSWER] = ctx.panel_state[ANSWER] = number = next(_NUMBERS)
        _ANSWERS.setdefault(page_of(ctx), deque(maxlen=MOST_ANSWERS)).append((number, values))
        _ANSWERS.move_to_end(page_of(ctx))
        while len(_ANSWERS) > MOST_PANELS:
            _ANSWERS.popitem(last=False)


def page_of(ctx) -> tuple:
    """Return an id of the panel in one page of a browser; pages may share the panel's id."""
    return ctx.panel_id, ctx.panel_state.get("loaded_page")


def sets_state(ctx) -> bool:
    """Return whether the answer to an event sets values of the state, so that the panel changes."""
    return any(name_of(message) == STATE for message in messages_of(ctx))


def merge_patches(ctx) -> None:
    """Merge the messages that set values of a panel into the first of them.

    Args:
        ctx: the context of an event that has been handled
    """
    messages = messages_of(ctx)
    firsts: dict[str, dict] = {}
    kept = []
    for message in messages:
        panel = message.params.get("panel_id")
        if name_of(message) == STATE and panel in firsts:
            firsts[panel].update(message.params["state"])
            continue
        if name_of(message) == STATE:
            firsts[panel] = message.params["state"] = dict(message.params["state"])
        kept.append(message)
    messages[:] = kept


def messages_of(ctx) -> list:
    """Return the messages that an event sends to the browser."""
    return getattr(ctx.executor, "_requests", None) or []


def name_of(message) -> str:
    """Return the name of the App's operator that a message calls."""
    return message.operator_uri.rsplit("/", 1)[-1]
