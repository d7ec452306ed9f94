"""What is done with heatmaps: export them, average them, test them."""

from __future__ import annotations

import os

from fiftyone.operators import types

from ...dataset.fields import field_info
from ...dataset.heatmaps import heatmap_fields
from ...dataset.runs import list_runs
from .forms import choice_input, more, refuse
from .verb import Verb


def heatmap_input(ctx, inputs: types.Object, names: list[str]) -> str | None:
    """Let the user choose a heatmap field; returns the choice, None if there is none."""
    if not names:
        refuse(inputs, "no_heatmaps", "There are no such heatmaps yet. Predict first")
        return None
    choice_input(inputs, "heatmap_field", {n: n for n in names}, names[0], "Heatmaps")
    return ctx.params.get("heatmap_field") or names[0]


def folder_input(ctx, inputs: types.Object, example: str = "heatmaps") -> None:
    """Let the user name a folder to write to."""
    inputs.str(
        "folder",
        required=True,
        label="Folder",
        description="Where to, on the machine that runs the App; made if need be",
        view=types.TextFieldView(placeholder=os.path.join(os.path.expanduser("~"), example)),
    )
    folder = os.path.expanduser(ctx.params.get("folder") or "")
    if folder and os.path.isdir(folder) and os.listdir(folder):
        inputs.bool(
            "overwrite",
            default=False,
            label="Write into this folder, and replace files of the same names",
        )
        if not ctx.params.get("overwrite"):
            refuse(inputs, "not_empty", "The folder is not empty. Choose another, or tick the box")
    elif folder and os.path.exists(folder) and not os.path.isdir(folder):
        refuse(inputs, "no_folder", f"{folder!r} is a file")


class ExportOverlays(Verb):
    """`export_overlays` as an operator."""

    verb = "export_overlays"
    label = "Export overlays"
    icon = "photo_library"
    description = "Write pictures: image, heatmap and overlay, and contact sheets"

    def form(self, ctx, inputs: types.Object) -> None:
        """Heatmaps and folder; looks under Advanced."""
        ctx.target_view()
        if heatmap_input(ctx, inputs, heatmap_fields(ctx.dataset)) is None:
            return
        folder_input(ctx, inputs)
        if more(ctx, inputs):
            inputs.str("colormap", default="jet", label="Colormap", description="A matplotlib name")
            inputs.float("alpha", default=0.5, min=0, max=1, label="Opacity of the heatmap")
            inputs.int("height", default=320, min=32, label="Height of the pictures")
            inputs.bool("contact_sheet", default=True, label="Contact sheets")

    def arguments(self, ctx) -> dict:
        """As filled in."""
        names = ("heatmap_field", "colormap", "alpha", "height", "contact_sheet", "overwrite")
        options = {name: ctx.params[name] for name in names if ctx.params.get(name) is not None}
        return {"samples": ctx.target_view(), "folder": ctx.params["folder"], **options}

    def outcome(self, result, given: dict) -> dict:
        """How many there are, and where."""
        folder = os.path.dirname(result[0])
        return {"summary": f"Wrote {len(result)} pictures to {folder}", "changed": False}


class MeanHeatmaps(Verb):
    """`mean_heatmaps` as an operator."""

    verb = "mean_heatmaps"
    label = "Mean heatmap of each class"
    icon = "blur_on"
    description = "Average the heatmaps of each class, and write pictures"
    is_long = False

    def form(self, ctx, inputs: types.Object) -> None:
        """Heatmaps and folder."""
        ctx.target_view()
        if heatmap_input(ctx, inputs, heatmap_fields(ctx.dataset)) is not None:
            folder_input(ctx, inputs)

    def arguments(self, ctx) -> dict:
        """As filled in."""
        return {
            "samples": ctx.target_view(),
            "heatmap_field": ctx.params["heatmap_field"],
            "folder": ctx.params["folder"],
            "overwrite": bool(ctx.params.get("overwrite")),
        }

    def outcome(self, result, given: dict) -> dict:
        """How many there are, and where."""
        summary = f"Wrote the mean heatmaps of {len(result)} classes to {given['folder']}"
        return {"summary": summary, "changed": False}


class ExplanationQuality(Verb):
    """`explanation_quality` as an operator."""

    verb = "explanation_quality"
    label = "Test the heatmaps"
    icon = "fact_check"
    description = "Do the heatmaps show what the predictions rest on? Deletion, insertion, drop"

    def form(self, ctx, inputs: types.Object) -> None:
        """Heatmaps and run."""
        ctx.target_view()
        runs = list_runs(ctx.dataset)
        names = [
            name
            for name in heatmap_fields(ctx.dataset)
            if field_info(ctx.dataset, name).get("kind") == "predicted"
            and field_info(ctx.dataset, name).get("run") in runs
        ]
        if heatmap_input(ctx, inputs, names) is None:
            return
        inputs.view(
            "slow",
            types.Notice(
                label="Some 70 forward passes for each image: choose a view of up to a few hundred"
            ),
        )
        if more(ctx, inputs):
            inputs.int("steps", default=10, min=2, label="Steps")
            inputs.int("seed", default=0, min=0, label="Seed")
            inputs.bool("road", default=False, label="Also ROAD, which takes seconds per image")

    def arguments(self, ctx) -> dict:
        """As filled in."""
        name = ctx.params["heatmap_field"]
        run = field_info(ctx.dataset, name).get("run")
        return {
            "samples": ctx.target_view(),
            "run": run,
            "heatmap_field": name,
            "steps": ctx.params.get("steps") or 10,
            "seed": ctx.params.get("seed") or 0,
            "road": bool(ctx.params.get("road")),
        }

    def outcome(self, result, given: dict) -> dict:
        """The means, beside those of a Gaussian."""
        from ...explain.faithfulness import HIGH_IS_GOOD  # torch, which no form needs

        parts = [
            f"{measure} {row['heatmap']:.2f} (Gaussian {row['gaussian']:.2f})"
            for measure, row in result.items()
        ]
        means = f"Means: {', '.join(parts)}"
        high = [measure for measure in result if measure in HIGH_IS_GOOD]
        good = f"For {' and '.join(high)} high is good, for the others low"
        return {"summary": f"{means}. {good}"}
