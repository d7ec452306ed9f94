"""What an event changes in the panel goes to the browser at once.

FiftyOne sends each value that is set on its own, and the browser draws the panel after each: with
two dozen values and a table that takes seconds.
"""

from __future__ import annotations

# Messages that set values, and the parameter that holds these.
MERGED = {"patch_panel_state": "state", "patch_panel_data": "data"}


def merge_patches(ctx) -> None:
    """Join the messages that set values of one panel, in the place of the first of each kind.

    Args:
        ctx: of an event that has been answered
    """
    messages = getattr(ctx.executor, "_requests", None)
    if not messages:
        return
    firsts: dict[tuple, dict] = {}
    kept = []
    for message in messages:
        name = message.operator_uri.rsplit("/", 1)[-1]
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
