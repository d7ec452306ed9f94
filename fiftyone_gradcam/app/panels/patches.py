"""Send all values that an event changes in the panel to the browser together.

FiftyOne sends each value separately, and the browser redraws the panel after each. With two dozen
values and a table, this takes seconds.
"""

from __future__ import annotations

# Messages that set values, and the parameter with the values.
MERGED = {"patch_panel_state": "state", "patch_panel_data": "data"}


def merge_patches(ctx) -> None:
    """Merge the messages that set values of a panel into the first message of each kind.

    Args:
        ctx: the context of an event that has been handled
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
