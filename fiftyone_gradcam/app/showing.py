"""What the App shows of a result.

An outcome is a plain dictionary, so that it can be stored with a job and be shown by whoever looks
at the App when the job has ended. It has a "summary" and may have

- "dataset": the name of a dataset to open
- "changed": False if nothing in the dataset is new
- "gone": names of fields that were deleted
- "view": samples to show, by `view_as_text`
- "fields": names of fields to make visible; the first heatmap among them takes the place of others
- "picture": the path of a picture
"""

from __future__ import annotations

from collections.abc import Iterator

import fiftyone as fo

from ..dataset.fields import OWNER
from ..dataset.heatmaps import heatmap_fields
from ..dataset.shown import with_one_heatmap
from ..jobs import calls

PANEL = "classifier"


def show(ctx, outcome: dict) -> Iterator:
    """Messages that make the App show an outcome."""
    if "dataset" in outcome:
        yield ctx.ops.open_dataset(outcome["dataset"])
        return
    if outcome.get("changed", True):
        yield ctx.ops.reload_dataset()
    gone = outcome.get("gone", ())
    if gone and any(name in str(ctx.view._serialize()) for name in gone):
        yield ctx.ops.clear_view()  # it asks for what is no more
    if "view" in outcome:
        yield ctx.ops.set_view(calls.decode(outcome["view"])["view"])
    active, wanted = ctx.active_fields or [], outcome.get("fields", [])
    if wanted:
        wanted = with_one_heatmap(active, wanted, heatmap_fields(ctx.dataset))
        if set(wanted) != set(active):
            yield ctx.ops.set_active_fields(wanted)


def show_job(ctx, id: str) -> Iterator:
    """Messages that make the App show a job: in the panel, which is opened if need be."""
    for panel in _panels(ctx.spaces):
        if panel.type == PANEL:
            event = {
                "operator_uri": f"{OWNER}/{PANEL}#on_job",
                "panel_id": panel.component_id,
                "params": {"job": id},
                "skip_prompt": True,
            }
            yield ctx.trigger("prompt_user_for_operation", event)
            yield ctx.ops.open_panel(PANEL)  # brings it to the front
            return
    state = {"state": {"tab": "jobs", "own": id}}
    yield ctx.ops.open_panel(PANEL, layout="horizontal", state=state)


def _panels(space: fo.Space | None) -> Iterator[fo.Panel]:
    for child in space.children if space is not None else ():
        if isinstance(child, fo.Panel):
            yield child
        else:
            yield from _panels(child)


def view_as_text(view) -> str:
    """A view as an outcome holds it."""
    return calls.encode({"view": view})
