"""The tab "Evaluate": the confusion matrix, and the scores of each class."""

from __future__ import annotations

from fiftyone.operators import types

from ...dataset.evaluation import samples_among, samples_of_class
from ...dataset.fields import OWNER
from ...review.calibration import Bin, expected_calibration_error
from ...review.confused import condensed, confused_pairs, in_order, matches
from ...review.confusion import class_rows, confusion_matrix, wilson_interval
from ..texts import percent, shortened
from .choices import choice, row_of
from .chosen import LIST_WIDTH, Chosen, PredictionChoices, made_words
from .comparison import ComparisonPart, compared_cells
from .plots import confusion_plot, draw_plot, reliability_plot
from .samples import show_samples
from .tables import MOST, draw_table

COLUMNS = {
    "name": "Class",
    "labelled": "Samples",
    "right": "Right",
    "recall": "Recall",
    "precision": "Precision",
    "f1": "F1",
}
PAIR_COLUMNS = {"label": "Label", "predicted": "Predicted as", "count": "Samples", "share": "Share"}
BY = {
    "row": "shares of labels (recall)",
    "column": "shares of predictions (precision)",
    "count": "numbers of samples",
}
ORDER = {
    "recall": "worst recall first",
    "f1": "worst F1 first",
    "precision": "worst precision first",
    "labelled": "largest first",
    "name": "by name",
}
MOST_CLASSES = 20  # maximum number of classes in the matrix
MOST_ROWS = 20  # maximum number of rows: a longer table makes each click slow
OTHERS = "all other classes"


class EvaluateTab(ComparisonPart, PredictionChoices):
    """The tab "Evaluate": it reads and draws its values, and handles its events."""

    def read_evaluation(self, ctx) -> None:
        """Count labels and predictions by a query of the database."""
        state, chosen = ctx.panel.state, self.read_choices(ctx)
        if chosen is None:
            return
        counts, bins = chosen.counts()
        state.predictions = state.labels = state.class_title = None
        state.evaluation_words = "No sample here has both a label and a prediction."
        if not counts:
            return
        classes = sorted({x for pair in counts for x in pair})
        matrix = confusion_matrix(counts, classes)
        total, right = int(matrix.sum()), int(matrix.trace())
        low, high = wilson_interval(right, total)
        state.evaluation_words = (
            f"**Accuracy {percent(right / total)}** (95% interval {percent(low)} to "
            f"{percent(high)}): {right} of {total} samples. Click a cell or a row to see its "
            f"samples.{chosen.out_words}\n\n{made_words(chosen)}"
        )
        rows = in_order(class_rows(matrix, classes), state.order or "recall")
        rows = [row for row in rows if matches(row.name, state.search)]
        self._read_matrix(ctx, chosen, matrix, classes, [row.name for row in rows])
        self._read_pairs(ctx, matrix, classes)
        self._read_classes(ctx, rows, self.read_comparison(ctx, chosen))
        self._read_reliability(ctx, chosen, bins)

    def _read_matrix(self, ctx, chosen: Chosen, matrix, classes: list, rows: list) -> None:
        """Read the matrix of all classes; of many classes, show the first ones in order.

        The others are combined into one.
        """
        state, place = ctx.panel.state, {name: i for i, name in enumerate(classes)}
        by = state.by if state.by in BY else "row"
        if len(classes) <= MOST_CLASSES:
            names, shown = classes, matrix
        else:
            names = rows[:MOST_CLASSES]
            shown = condensed(matrix, [place[name] for name in names])
            names = [*names, None]
        if names in ([], [None]):
            return
        kept = [i for i, own in enumerate(shown.sum(1)) if own]
        state.labels, state.predictions = [names[i] for i in kept], names
        texts = [OTHERS if name is None else name for name in names]
        state.confusion = confusion_plot(shown[kept], [texts[i] for i in kept], texts, by)
        some = f"{len(names) - 1} of {len(classes)} classes, {ORDER[state.order or 'recall']}"
        state.matrix_title = f"{some}: " if None in names else ""

    def _read_pairs(self, ctx, matrix, classes: list[str]) -> None:
        state = ctx.panel.state
        pairs = confused_pairs(matrix, classes)
        found = [
            one
            for one in pairs
            if matches(one.label, state.search) or matches(one.predicted, state.search)
        ]
        state.pairs = [[one.label, one.predicted] for one in found[:MOST_ROWS]]
        state.pair_rows = [
            {
                "label": shortened(one.label, MOST),
                "predicted": shortened(one.predicted, MOST),
                "count": str(one.count),
                "share": percent(one.share),
            }
            for one in found[:MOST_ROWS]
        ]
        state.pair_title = _title("Most confused pairs", len(state.pairs), len(found))

    def _read_classes(self, ctx, rows: list, compared: dict) -> None:
        state = ctx.panel.state
        rows = [row for row in rows if row.labelled]
        state.shown_classes = [row.name for row in rows[:MOST_ROWS]]
        state.class_rows = [
            {
                "name": shortened(row.name, MOST),
                "labelled": str(row.labelled),
                "right": str(row.right),
                "recall": percent(row.recall),
                "precision": percent(row.precision),
                "f1": percent(row.f1),
                **compared_cells(compared, row.name),
            }
            for row in rows[:MOST_ROWS]
        ]
        words = f"Classes, {ORDER[state.order or 'recall']}"
        state.class_title = _title(words, len(state.class_rows), len(rows))

    def _read_reliability(self, ctx, chosen: Chosen, bins: list[Bin]) -> None:
        """Read the reliability diagram: the accuracy by confidence."""
        ctx.panel.state.reliability_words = ""
        if not any(one.count for one in bins):
            return
        ctx.panel.state.reliability = reliability_plot(bins)
        error = expected_calibration_error(bins)
        ctx.panel.state.reliability_words = (
            f"**Reliability**: how often predictions of which confidence are right; expected "
            f"calibration error {error:.3f}."
        )

    def draw_evaluation(self, ctx, panel: types.Object) -> None:
        """Draw the tab."""
        state = ctx.panel.state
        if not state.prediction_fields:
            self.draw_without_predictions(ctx, panel)
            return
        row = self.draw_choices(ctx, panel)
        self.draw_comparison_choice(ctx, row)
        buttons = row_of(panel, "evaluation_buttons")
        buttons.btn("show_all", label="Show all", on_click=self.on_show_all, variant="outlined")
        buttons.btn("save", label="Save views", on_click=self.on_save_views, variant="outlined")
        buttons.btn("refresh", label="Refresh", on_click=self.on_count_again, variant="outlined")
        panel.md(state.evaluation_words, name="evaluation_words")
        if not state.class_title:  # nothing was counted
            return
        self.draw_comparison(ctx, panel)
        finding = row_of(panel, "finding", LIST_WIDTH)
        view = types.TextFieldView(placeholder="Part of a name")
        finding.str("search", label="Find a class", view=view, on_change=self.on_search)
        choice(
            ctx, finding, "finding.order", ORDER, state.order or "recall", "Classes", self.on_order
        )
        choice(ctx, finding, "finding.by", BY, state.by or "row", "Matrix of", self.on_by)
        if state.predictions is None:
            panel.md("No class has such a name.", name="no_class")
            return
        words = f"**Confusion matrix**: {state.matrix_title}rows are labels, columns predictions."
        panel.md(words, name="matrix_words")
        draw_plot(panel, "confusion", state.confusion, on_click=self.on_cell)
        if state.pairs:
            pairs = [dict(zip(("label", "predicted"), pair, strict=True)) for pair in state.pairs]
            both = ("label", "predicted")
            draw_table(
                panel, "pair_rows", PAIR_COLUMNS, state.pair_title, self.on_pair, pairs, both
            )
        if state.shown_classes:
            columns = COLUMNS | self.compared_columns(ctx)
            rows = [{"name": name} for name in state.shown_classes]
            draw_table(
                panel, "class_rows", columns, state.class_title, self.on_class, rows, ("name",)
            )
        if state.reliability_words:
            panel.md(state.reliability_words, name="reliability_words")
            draw_plot(panel, "reliability", state.reliability)

    def on_search(self, ctx) -> None:
        """Show the classes whose names contain a text."""
        ctx.panel.state.search = ctx.params["value"]
        self.read_evaluation(ctx)

    def on_order(self, ctx) -> None:
        """Change the order of the classes."""
        ctx.panel.state.order = ctx.params["value"]
        self.read_evaluation(ctx)

    def on_by(self, ctx) -> None:
        """Show fractions of labels, fractions of predictions, or numbers of samples."""
        ctx.panel.state.by = ctx.params["value"]
        self.read_evaluation(ctx)

    def on_save_views(self, ctx) -> None:
        """Open the form that saves views."""
        name = ctx.panel.state.prediction_field
        ctx.prompt(f"{OWNER}/save_views", params={"prediction_field": name})

    def on_cell(self, ctx) -> None:
        """Show the samples of a cell, with their heatmaps."""
        state = ctx.panel.state
        label = state.labels[round(ctx.params["y"])]
        predicted = state.predictions[round(ctx.params["x"])]
        self._show_pair(ctx, label, predicted)

    def on_pair(self, ctx) -> None:
        """Show the samples of a confused pair."""
        if ctx.params["row"] >= 0:
            self._show_pair(ctx, *ctx.panel.state.pairs[ctx.params["row"]])

    def _show_pair(self, ctx, label: str | None, predicted: str | None) -> None:
        """Show samples by label and prediction; None means all classes not in the matrix."""
        chosen = self.chosen(ctx)
        shown = {name for name in ctx.panel.state.predictions if name is not None}
        others = []
        if None in (label, predicted):
            others = sorted({x for pair in chosen.counts()[0] for x in pair} - shown)
        labels, found = (others if x is None else [x] for x in (label, predicted))
        view = samples_among(chosen.samples, chosen.label_field, chosen.name, labels, found)
        show_samples(ctx, view, chosen.label_field, chosen.name)

    def on_class(self, ctx) -> None:
        """Show the samples of a class, the lowest scores first."""
        if ctx.params["row"] < 0:
            return
        chosen, label = self.chosen(ctx), ctx.panel.state.shown_classes[ctx.params["row"]]
        view = samples_of_class(chosen.samples, chosen.label_field, chosen.name, label)
        show_samples(ctx, view, chosen.label_field, chosen.name)


def _title(words: str, shown: int, count: int) -> str:
    return f"{words} ({shown} of {count})" if count > shown else words
