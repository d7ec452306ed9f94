"""Operators that export, average and test heatmaps."""

from __future__ import annotations

import os

from fiftyone.operators import types

from ...dataset.fields import field_info
from ...dataset.heatmaps import heatmap_fields
from ...dataset.runs import list_runs
from .forms import choice_input, more, notice, refuse, seed_input, text_input
from .labels import LABELS
from .path_fields import output_folder_input, output_folder_of
from .sample_fields import SHOWN
from .verb import Verb

MANY = 300  # more images than this take minutes
OVERLAYS, MEANS = "overlays", "mean-heatmaps"  # endings of default names


def heatmap_input(ctx, inputs: types.Object, names: list[str]) -> str | None:
    """Add a field for a heatmap field, and return the choice; None if there is none."""
    if not names:
        refuse(inputs, "no_heatmaps", "There are no heatmaps yet. Predict first")
        return None
    choice_input(inputs, "heatmap_field", {n: n for n in names}, names[0], LABELS["heatmaps"])
    return ctx.params.get("heatmap_field") or names[0]


class ExportOverlays(Verb):
    """`export_overlays` as an operator."""

    verb = "export_overlays"
    label = "Export overlays"
    action = "Export"
    scope = SHOWN
    icon = "photo_library"
    description = "Write pictures: image, heatmap and overlay, and contact sheets"

    def form(self, ctx, inputs: types.Object) -> None:
        """Add fields for the heatmaps and the folder; the others are behind a switch."""
        if heatmap_input(ctx, inputs, heatmap_fields(ctx.dataset)) is None:
            return
        output_folder_input(ctx, inputs, "Pictures", OVERLAYS)
        if more(ctx, inputs):
            words = "A matplotlib name, such as jet or viridis"
            text_input(ctx, inputs, "colormap", LABELS["colormap"], "jet", words)
            inputs.float("alpha", default=0.5, min=0, max=1, label=LABELS["alpha"])
            words = "In pixels"
            inputs.int("height", default=320, min=32, label=LABELS["height"], description=words)
            inputs.bool("contact_sheet", default=True, label=LABELS["contact_sheet"])

    def arguments(self, ctx) -> dict:
        """Return the verb's arguments from the values of the form."""
        names = ("heatmap_field", "colormap", "alpha", "height", "contact_sheet", "overwrite")
        options = {n: ctx.params[n] for n in names if ctx.params.get(n) not in (None, "")}
        folder = output_folder_of(ctx, OVERLAYS)
        return {"samples": ctx.target_view(), "folder": folder, **options}

    def outcome(self, result, given: dict) -> dict:
        """Show the number of pictures, the folder and the first contact sheet."""
        from ...workflow.exporting import SHEET  # imports torch, which forms do not need

        folder = os.path.dirname(result[0])
        found = {"summary": f"Wrote {len(result)} pictures to {folder}", "changed": False}
        sheets = [path for path in result if os.path.basename(path).startswith(SHEET)]
        return found | {"place": folder} | ({"picture": sheets[0]} if sheets else {})


class MeanHeatmaps(Verb):
    """`mean_heatmaps` as an operator."""

    verb = "mean_heatmaps"
    label = "Mean heatmap of each class"
    action = "Export"
    scope = SHOWN
    icon = "blur_on"
    description = "Average the heatmaps of each class, and write pictures"
    is_long = False

    def form(self, ctx, inputs: types.Object) -> None:
        """Add fields for the heatmaps and the folder."""
        if heatmap_input(ctx, inputs, heatmap_fields(ctx.dataset)) is not None:
            output_folder_input(ctx, inputs, "Pictures", MEANS)

    def arguments(self, ctx) -> dict:
        """Return the verb's arguments from the values of the form."""
        return {
            "samples": ctx.target_view(),
            "heatmap_field": ctx.params["heatmap_field"],
            "folder": output_folder_of(ctx, MEANS),
            "overwrite": bool(ctx.params.get("overwrite")),
        }

    def outcome(self, result, given: dict) -> dict:
        """Show the number of pictures, the folder, and the picture of all classes."""
        from ...workflow.exporting import MEANS_PICTURE

        folder = given["folder"]
        summary = f"Wrote the mean heatmaps of {len(result)} classes to {folder}"
        picture = os.path.join(folder, MEANS_PICTURE)
        return {"summary": summary, "changed": False, "place": folder, "picture": picture}


class ExplanationQuality(Verb):
    """`explanation_quality` as an operator."""

    verb = "explanation_quality"
    label = "Test the heatmaps"
    action = "Test"
    scope = SHOWN
    icon = "science"
    description = "Measure whether heatmaps show what the predictions rest on: deletion, insertion"

    def form(self, ctx, inputs: types.Object) -> None:
        """Add fields for the heatmaps and the run."""
        runs = list_runs(ctx.dataset)
        names = [
            name
            for name in heatmap_fields(ctx.dataset)
            if field_info(ctx.dataset, name).get("kind") == "predicted"
            and field_info(ctx.dataset, name).get("run") in runs
        ]
        if heatmap_input(ctx, inputs, names) is None:
            return
        count = len(ctx.target_view())
        slow = types.Warning if count > MANY else types.Notice
        notice(inputs, "slow", f"About 70 forward passes for each of {count} images", slow)
        if more(ctx, inputs):
            inputs.int("steps", default=10, min=2, label=LABELS["steps"])
            seed_input(inputs)
            inputs.bool("road", default=False, label=LABELS["road"])

    def arguments(self, ctx) -> dict:
        """Return the verb's arguments from the values of the form."""
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
        """Say whether the heatmaps are better than a Gaussian, with the means of both."""
        from ...explain.faithfulness import HIGH_IS_GOOD  # imports torch, which forms do not need

        parts, better = [], 0
        for measure, row in result.items():
            is_high = measure in HIGH_IS_GOOD
            own, spot = row["heatmap"], row["gaussian"]
            is_better = own > spot if is_high else own < spot
            better += is_better
            than = f"{'better than' if is_better else 'not better than'} {spot:.2f}"
            parts.append(f"{measure} ({'high' if is_high else 'low'} is good) {own:.2f}, {than}")
        return {
            "summary": f"By {better} of {len(parts)} measures, heatmaps explain the predictions "
            f"better than a spot in the center of each image (a Gaussian): {'; '.join(parts)}"
        }
