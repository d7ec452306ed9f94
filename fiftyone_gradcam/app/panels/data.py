"""Values that are sent to the browser in addition to the panel's state."""

from __future__ import annotations

import hashlib


def send_plot(ctx, slot: str, of: object, traces: list[dict]) -> None:
    """Send the traces of a plot, which is drawn under the name returned by `plot_name`.

    The App merges new values into old ones with the same name, element by element, so that the end
    of a longer list is kept. Therefore a plot must have another name, unless its lists only grow.

    Args:
        ctx: the context of the panel
        slot: the place of the plot in the panel
        of: identifies the content of the plot
        traces: the traces in Plotly's format
    """
    name = f"{slot}_{hashlib.blake2b(str(of).encode(), digest_size=8).hexdigest()}"
    ctx.panel.state.plot_names = {**(ctx.panel.state.plot_names or {}), slot: name}
    ctx.panel.set_data(name, traces)


def plot_name(ctx, slot: str) -> str:
    """Return the name under which the plot of a slot was sent; the slot itself if none was."""
    return (ctx.panel.state.plot_names or {}).get(slot, slot)
