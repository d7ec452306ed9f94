"""Show the outcome of a verb in the App.

An outcome is a plain dictionary, so that it can be stored with a job and shown in any App that is
open when the job ends. It has a "summary" and may have

- "dataset": the name of a dataset to open
- "changed": False if the dataset has not changed
- "reviewed": True if labels were reviewed: the review card loads them again
- "gone": names of fields that were deleted
- "view": samples to show, serialized by `view_as_text`
- "fields": names of fields to make visible; the first heatmap field replaces the visible one
- "picture": the path of a picture
- "place": the path of what was written, a file or folder: the panel shows a card for it that stays
- "panel": a panel of FiftyOne to open: its "name" and "data", the values to show by FiftyOne's
  names
- "rests_on": a digest of the labels that were used, by `dataset.basis.all_labels`
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import fiftyone as fo

from ..dataset.fields import OWNER
from ..dataset.heatmaps import heatmap_fields
from ..dataset.shown import is_earlier, stored_colors, with_one_heatmap
from ..jobs import calls

PANEL = "classifier"
RESTS_ON = "rests_on"
PLACE = "place"


def show(ctx, outcome: dict) -> Iterator:
    """Yield messages that make the App show an outcome."""
    if "dataset" in outcome:
        yield ctx.ops.open_dataset(outcome["dataset"])
        return
    if outcome.get("changed", True):
        yield ctx.ops.reload_dataset()
    if outcome.get("reviewed"):
        yield ctx.trigger(f"{OWNER}/reload_review", params={})  # of review.js
    gone = outcome.get("gone", ())
    if gone and any(name in str(ctx.view._serialize()) for name in gone):
        yield ctx.ops.clear_view()  # the view may use fields that no longer exist
    if "view" in outcome:
        yield ctx.ops.set_view(calls.decode(outcome["view"], ctx.dataset._doc.id)["view"])
    active = ctx.active_fields if isinstance(ctx.active_fields, list) else []
    wanted = outcome.get("fields", [])
    if wanted:
        wanted = with_one_heatmap(active, wanted, heatmap_fields(ctx.dataset))
        if set(wanted) != set(active):
            yield ctx.ops.set_active_fields(wanted)
    if "panel" in outcome:
        panel = outcome["panel"]
        yield ctx.ops.open_panel(panel["name"], layout="vertical", data=panel["data"])


def lacking_colors(ctx, known: list[str]) -> list[str]:
    """Return the fields whose stored colors are missing in an App that opened the dataset earlier.

    Args:
        ctx: the context of the panel
        known: fields that are left out, because their colors were set before
    """
    shown, stored = _scheme_in_app(ctx), stored_colors(ctx.dataset)
    if shown is None or stored is None:
        return []
    colored = {entry.get("path") for entry in shown.fields or [] if entry.get("fieldColor")}
    return [path for path in stored.colors if path not in known and path not in colored]


def color_heatmaps(ctx, fields: list[str]) -> None:
    """Set the stored colors of some fields in the App, which reads them only on opening a dataset.

    Call this while no tile loads, and some time before heatmaps are switched: tiles lose their
    heatmaps if colors are set while they load.

    Args:
        ctx: the context of the panel
        fields: the result of `lacking_colors`
    """
    if fields and (stored := stored_colors(ctx.dataset)) is not None:
        give_colors(ctx, {path: stored.colors[path] for path in fields})


def give_colors(ctx, colors: dict[str, str]) -> object:
    """Set colors of some fields in the App; see `color_heatmaps`.

    Args:
        ctx: the context of an operator or panel
        colors: the colors by field name

    Returns:
        the message to the App, to be yielded by a generator operator; None if there is none
    """
    shown, stored = _scheme_in_app(ctx), stored_colors(ctx.dataset)
    if not colors or shown is None or stored is None:
        return None
    entries = {entry["path"]: entry for entry in shown.fields or [] if entry.get("path")}
    for path, color in colors.items():
        entries[path] = {**entries.get(path, {"path": path}), "fieldColor": color}
    scheme = {"fields": list(entries.values())}
    if is_earlier(shown):
        scheme |= {"color_by": stored.color_by, "opacity": stored.opacity}
    return ctx.trigger("set_color_scheme", scheme)


def _scheme_in_app(ctx) -> fo.ColorScheme | None:
    """Return the color scheme of the App; None outside its server, or for another dataset."""
    if not os.environ.get("FIFTYONE_SERVER"):
        return None
    from fiftyone.server.events import get_state

    state = get_state()
    is_open = state.dataset is not None and state.dataset.name == ctx.dataset.name
    return state.color_scheme if is_open else None


def show_job(ctx, id: str) -> Iterator:
    """Yield messages that make the App show a job in the panel, which is opened if necessary."""
    for panel in _panels(ctx.spaces):
        if panel.type == PANEL:
            event = {
                "operator_uri": f"{OWNER}/{PANEL}#on_job",
                "panel_id": panel.component_id,
                "params": {"job": id},
                "skip_prompt": True,
            }
            yield ctx.trigger("prompt_user_for_operation", event)
            yield ctx.ops.open_panel(PANEL)  # brings the panel to the front
            return
    state = {"state": {"tab": "jobs", "own": id}}
    yield ctx.ops.open_panel(PANEL, layout="horizontal", state=state)


def turn_panel(ctx, panel: dict) -> bool:
    """Set the data of an open panel, because the Embeddings panel discards it while opening.

    Args:
        ctx: the context of this plugin's panel
        panel: the "panel" of an outcome

    Returns:
        whether the panel is open
    """
    ids = [one.component_id for one in _panels(ctx.spaces) if one.type == panel["name"]]
    for id in ids:
        given = {"panel_id": id, "data": panel["data"], "full_merge": True}
        ctx.trigger("set_panel_data", given)
    return bool(ids)


def _panels(space: fo.Space | None) -> Iterator[fo.Panel]:
    for child in space.children if space is not None else ():
        if isinstance(child, fo.Panel):
            yield child
        else:
            yield from _panels(child)


def view_as_text(view) -> str:
    """Serialize a view for an outcome."""
    return calls.encode({"view": view})
