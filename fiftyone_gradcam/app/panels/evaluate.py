"""The tab "Evaluate": which class is taken for which, and how well each is found."""

from __future__ import annotations

from collections import deque

import numpy as np
from fiftyone.operators import types

from ...dataset.evaluation import confusion_counts, prediction_fields, samples_between
from ...dataset.fields import OWNER, field_info, path_in
from ...dataset.heatmaps import heatmap_fields
from ...dataset.reviews import left_out, left_out_words
from ...dataset.runs import list_runs
from ...review.calibration import expected_calibration_error, reliability
from ...review.confusion import class_rows, confusion_matrix, wilson_interval
from ..showing import show, view_as_text
from ..texts import percent
from .choices import choice
from .data import plot_name, send_plot
from .plots import confusion_plot, reliability_plot

PARTS = {"test": "test", "val": "val", "train": "train", "all": "all samples"}
COLUMNS = {
    "name": "Class",
    "labelled": "Samples",
    "right": "Right",
    "recall": "Recall",
    "precision": "Precision",
    "f1": "F1",
}
BY = {"row": "labels (rows)", "column": "predictions (columns)"}
MOST_ROWS = 20  # a longer table makes each click slow


class EvaluateTab:
    """Reads, draws and answers."""

    def read_evaluation(self, ctx) -> None:
        """Count labels and predictions in the database."""
        state, dataset = ctx.panel.state, ctx.dataset
        state.prediction_fields = names = prediction_fields(dataset)
        if not names:
            return
        if state.prediction_field not in names:
            runs = list_runs(dataset)
            trained = [name for name in names if field_info(dataset, name).get("run") in runs]
            state.prediction_field = (trained or names)[0]
        name = state.prediction_field
        info = field_info(dataset, name)
        label_field = info.get("label_field") or "ground_truth"
        tags = dataset.count_sample_tags()
        state.parts = [part for part in PARTS if part == "all" or tags.get(part)]
        if state.part not in state.parts:
            state.part = state.parts[0]
        samples, out = self._judged(dataset, state.part)
        counts = confusion_counts(samples, label_field, name)
        classes = sorted({x for pair in counts for x in pair})
        matrix = confusion_matrix(counts, classes)
        rows = [i for i, own in enumerate(matrix.sum(1)) if own]
        state.label_field, state.predictions = label_field, classes
        state.labels = [classes[i] for i in rows]
        state.out_words = f" Left out by reviews: {left_out_words(out)}." if out else ""
        total, right = int(matrix.sum()), int(matrix.trace())
        state.evaluation_words = "No sample here has both a label and a prediction."
        if not total:
            return
        low, high = wilson_interval(right, total)
        state.evaluation_words = (
            f"**Accuracy {percent(right / total)}** (95% interval {percent(low)} to "
            f"{percent(high)}): {right} of {total} samples. A click on a cell shows its "
            f"samples.{state.out_words}"
        )
        by = state.by if state.by in BY else "row"
        traces, state.confusion_layout = confusion_plot(matrix[rows], state.labels, classes, by)
        send_plot(ctx, "confusion", f"{name} {state.part} {by} {state.labels} {classes}", traces)
        self._read_reliability(ctx, samples, label_field, name)
        rows = [row for row in class_rows(matrix, classes) if row.labelled]
        state.class_rows = [
            {
                "name": row.name,
                "labelled": str(row.labelled),
                "right": str(row.right),
                "recall": percent(row.recall),
                "precision": percent(row.precision),
                "f1": percent(row.f1),
            }
            for row in sorted(rows, key=lambda row: row.recall)[:MOST_ROWS]
        ]
        more = f" ({MOST_ROWS} of {len(rows)})" if len(rows) > MOST_ROWS else ""
        state.class_title = f"Classes, worst recall first{more}"

    def _read_reliability(self, ctx, samples, label_field: str, name: str) -> None:
        """How often predictions of which confidence are right."""
        own = path_in(ctx.dataset, label_field)
        rows = zip(*samples.values([own, f"{name}.label", f"{name}.confidence"]), strict=True)
        judged = [(c, y == p) for y, p, c in rows if None not in (y, p, c)]
        ctx.panel.state.reliability_words = ""
        if not judged:
            return
        bins = reliability(*(np.array(x) for x in zip(*judged, strict=True)))
        traces, ctx.panel.state.reliability_layout = reliability_plot(bins)
        send_plot(ctx, "reliability", f"{name} {ctx.panel.state.part} reliability", traces)
        error = expected_calibration_error(bins)
        ctx.panel.state.reliability_words = (
            f"**Reliability**: how often predictions of which confidence are right; expected "
            f"calibration error {error:.3f}."
        )

    def _judged(self, dataset, part: str) -> tuple:
        """The samples that count, and those that reviews have left out."""
        samples = dataset if part == "all" else dataset.match_tags(part)
        out = left_out(samples)
        if out:
            samples = samples.exclude([i for ids in out.values() for i in ids])
        return samples, out

    def draw_evaluation(self, ctx, panel: types.Object) -> None:
        """Draw the tab."""
        state = ctx.panel.state
        if not state.prediction_fields:
            panel.md("There are no predictions here yet. Predict first.", name="no_predictions")
            label = state.next[0]["label"]
            params = {"label": label}
            panel.btn("next", label=label, on_click=self.on_next, params=params)
            return
        choices = panel.h_stack("choices", gap=2)
        choice(
            choices,
            "prediction_field",
            {name: name for name in state.prediction_fields},
            state.prediction_field,
            "Predictions",
            self.on_prediction_field,
        )
        parts = {part: PARTS[part] for part in state.parts}
        choice(choices, "part", parts, state.part, "Of the samples tagged", self.on_part)
        choice(choices, "by", BY, state.by or "row", "Shares of", self.on_by)
        choices.btn("refresh", label="Refresh", on_click=self.on_refresh, variant="outlined")
        choices.btn("save", label="Save views", on_click=self.on_save_views, variant="outlined")
        choices.btn("show_all", label="Show all", on_click=self.on_show_all, variant="outlined")
        panel.md(state.evaluation_words, name="evaluation_words")
        if not state.labels:
            return
        panel.plot(
            plot_name(ctx, "confusion"),
            layout=state.confusion_layout,
            config={"displayModeBar": False},
            on_click=self.on_cell,
        )
        table = types.TableView()
        for key, title in COLUMNS.items():
            table.add_column(key, label=title)
        panel.list("class_rows", types.Object(), view=table, label=state.class_title)
        if state.reliability_words:
            panel.md(state.reliability_words, name="reliability_words")
            panel.plot(
                plot_name(ctx, "reliability"),
                layout=state.reliability_layout,
                config={"displayModeBar": False},
            )

    def on_prediction_field(self, ctx) -> None:
        """Look at other predictions."""
        ctx.panel.state.prediction_field = ctx.params["value"]
        self.read_evaluation(ctx)

    def on_part(self, ctx) -> None:
        """Look at other samples."""
        ctx.panel.state.part = ctx.params["value"]
        self.read_evaluation(ctx)

    def on_by(self, ctx) -> None:
        """Show shares of labels, or of predictions."""
        ctx.panel.state.by = ctx.params["value"]
        self.read_evaluation(ctx)

    def on_save_views(self, ctx) -> None:
        """Save the views that matter."""
        name = ctx.panel.state.prediction_field
        ctx.prompt(f"{OWNER}/save_views", params={"prediction_field": name})

    def on_show_all(self, ctx) -> None:
        """Show all samples again, after a cell."""
        ctx.ops.clear_view()

    def on_cell(self, ctx) -> None:
        """Show the samples of a cell, with their heatmaps on."""
        state, dataset = ctx.panel.state, ctx.dataset
        label = state.labels[round(ctx.params["y"])]
        predicted = state.predictions[round(ctx.params["x"])]
        name = state.prediction_field
        samples, _ = self._judged(dataset, state.part)
        view = samples_between(samples, state.label_field, name, label, predicted)
        run = field_info(dataset, name).get("run")
        maps = [x for x in heatmap_fields(dataset) if field_info(dataset, x).get("run") == run]
        outcome = {"view": view_as_text(view), "changed": False}
        outcome["fields"] = [state.label_field, name, *maps[:1]]
        deque(show(ctx, outcome), maxlen=0)
