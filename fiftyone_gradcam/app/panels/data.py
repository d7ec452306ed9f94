"""Values that are sent to the browser in addition to the panel's state."""

from __future__ import annotations

import hashlib
import json
import re

# Of plots that were sent: slots and what is in them.
NAMES, CONTENTS = "plot_names", "plot_contents"
_OF_PLOT = re.compile("[a-z_]+_[0-9a-f]{16}")


def send_plot(ctx, slot: str, of: object, traces: list[dict]) -> None:
    """Send the traces of a plot, which is drawn under the name returned by `plot_name`, unless the
    browser has them.

    The App merges new values into old ones with the same name, element by element, so that the end
    of a longer list is kept. Therefore a plot must have another name, unless its lists only grow.

    Args:
        ctx: the context of the panel
        slot: the place of the plot in the panel
        of: identifies the content of the plot
        traces: the traces in Plotly's format
    """
    state, name = ctx.panel.state, f"{slot}_{digest(of)}"
    content = digest(json.dumps(traces, default=str))
    names, contents = state.get(NAMES) or {}, state.get(CONTENTS) or {}
    before = names.get(slot)
    if before == name and contents.get(slot) == content:
        return
    if before not in (None, name):
        ctx.panel.set_data(before, None)  # or each event of a list would send it to the server
    ctx.panel.set_state({NAMES: {**names, slot: name}, CONTENTS: {**contents, slot: content}})
    ctx.panel.set_data(name, traces)


def forget_plots(ctx) -> None:
    """Send all plots again: a page that was loaded has none of them.

    Args:
        ctx: the context of the panel
    """
    ctx.panel.set_state(CONTENTS, None)


def take_plots_out(ctx) -> None:
    """Take plots out of the state: the App puts all that a panel shows into it when a list changes,
    and sends the state to the server several times with each click.

    Args:
        ctx: the context of an event that changes the state
    """
    for name, value in list(ctx.panel_state.items()):
        if value is not None and _OF_PLOT.fullmatch(name):
            ctx.panel.set_state(name, None)


def plot_name(ctx, slot: str) -> str:
    """Return the name under which the plot of a slot was sent; the slot itself if none was."""
    return (ctx.panel.state.get(NAMES) or {}).get(slot, slot)


def digest(of: object) -> str:
    """Return a short name of a value, which is the same for equal values."""
    return hashlib.blake2b(str(of).encode(), digest_size=8).hexdigest()
