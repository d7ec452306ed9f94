"""What is sent to the browser beside a panel's state."""

from __future__ import annotations

import hashlib


def send_plot(ctx, slot: str, of: object, traces: list[dict]) -> None:
    """Send the traces of a plot; `plot_name` tells its name to whoever draws it.

    The App lays new values over those of the same name, element by element, so that the end of a
    longer list stays: what is not the same plot grown must have another name.

    Args:
        slot: where in the panel
        of: what it is a plot of
        traces: as Plotly has them
    """
    name = f"{slot}_{hashlib.blake2b(str(of).encode(), digest_size=8).hexdigest()}"
    ctx.panel.state.plot_names = {**(ctx.panel.state.plot_names or {}), slot: name}
    ctx.panel.set_data(name, traces)


def plot_name(ctx, slot: str) -> str:
    """The name under which the plot of a slot was sent; that of an empty one before it was."""
    return (ctx.panel.state.plot_names or {}).get(slot, slot)
