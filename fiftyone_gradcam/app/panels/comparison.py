"""The comparison with predictions of another run, in the tab "Evaluate"."""

from __future__ import annotations

from fiftyone.operators import types

from ...dataset.cached import cached
from ...dataset.evaluation import counts_of_two, samples_compared
from ...review.comparison import Pairs
from ...review.confusion import class_rows, confusion_matrix
from ..texts import markdown, percent
from .choices import choice, row_of
from .chosen import Chosen
from .samples import show_samples

NONE = "none"
SHOWN = {"fixed": (False, True), "broken": (True, False), "both_wrong": (False, False)}


class ComparisonPart:
    """The part of the tab with the comparison: it reads and draws it, and handles its events."""

    def read_comparison(self, ctx, chosen: Chosen) -> dict[str, list[float | None]]:
        """Count the predictions of both runs, and return F1 of both by class, if both exist."""
        state = ctx.panel.state
        state.comparison_words, state.is_compared = "", False
        if state.other not in state.prediction_fields or state.other == chosen.name:
            if state.other not in (None, NONE):
                state.set("choices.other", NONE)  # otherwise the list would still show it
            state.other = NONE
            return {}
        key = ("two", *chosen.key, state.other)
        counts = cached(
            chosen.dataset,
            key,
            lambda: counts_of_two(chosen.samples, chosen.label_field, state.other, chosen.name),
            chosen.state,
        )
        if not counts:
            state.comparison_words = "No sample here has predictions of both."
            return {}
        pairs = Pairs.counted(counts)
        state.compared_counts = {
            "fixed": pairs.only_b,
            "broken": pairs.only_a,
            "both_wrong": pairs.both_wrong,
        }
        gain = 100 * (pairs.right_b - pairs.right_a) / pairs.count
        words = markdown(pairs.words(state.other, chosen.name))
        state.comparison_words = f"**Accuracy {gain:+.1f} points** on the same images. {words}."
        classes = sorted({x for three in counts for x in three})
        state.is_compared, compared = True, {}
        for place in (1, 2):
            for row in _rows(counts, classes, place):
                compared.setdefault(row.name, []).append(row.f1)
        return compared

    def compared_columns(self, ctx) -> dict[str, str]:
        """Return the additional columns of the table of classes."""
        return {"change": "F1 change"} if ctx.panel.state.is_compared else {}

    def draw_comparison_choice(self, ctx, row: types.Object) -> None:
        """Draw a list of other prediction fields, if there are any."""
        state = ctx.panel.state
        others = [x for x in state.prediction_fields if x != state.prediction_field]
        if others:
            values = {NONE: "nothing", **{name: name for name in others}}
            choice(
                ctx,
                row,
                "choices.other",
                values,
                state.other or NONE,
                "Compare with",
                self.on_other,
            )

    def draw_comparison(self, ctx, panel: types.Object) -> None:
        """Draw the result of the comparison, and buttons that show samples."""
        state = ctx.panel.state
        if not state.comparison_words:
            return
        panel.md(state.comparison_words, name="comparison_words")
        if not state.is_compared:
            return
        buttons = row_of(panel, "comparison_buttons")
        for name, count in state.compared_counts.items():
            label = {"fixed": "fixed", "broken": "broken", "both_wrong": "wrong in both"}[name]
            buttons.btn(
                f"compare_{name}",
                label=f"{count} {label}",
                on_click=self.on_compared,
                params={"shown": name},
                variant="outlined",
            )

    def on_other(self, ctx) -> None:
        """Compare with another prediction field."""
        ctx.panel.state.other = ctx.params["value"]
        self.read_evaluation(ctx)

    def on_compared(self, ctx) -> None:
        """Show the samples that one run has right and the other does not."""
        chosen, other = self.chosen(ctx), ctx.panel.state.other
        view = samples_compared(
            chosen.samples, chosen.label_field, other, chosen.name, *SHOWN[ctx.params["shown"]]
        )
        show_samples(ctx, view, chosen.label_field, chosen.name)


def compared_cells(compared: dict[str, list[float | None]], name: str) -> dict[str, str]:
    """Return the cells of a class in the columns of the comparison."""
    if not compared:
        return {}
    before, now = compared.get(name, (None, None))
    known = before is not None and now is not None
    return {"change": f"{100 * (now - before):+.1f}" if known else percent(None)}


def _rows(counts: dict[tuple[str, str, str], int], classes: list[str], place: int) -> list:
    """Return the rows of classes for one of the two predictions that were counted.

    Args:
        counts: numbers of samples by (label, first prediction, second prediction)
        classes: the class names
        place: 1 for the first prediction, 2 for the second
    """
    pairs: dict[tuple[str, str], int] = {}
    for three, count in counts.items():
        pair = (three[0], three[place])
        pairs[pair] = pairs.get(pair, 0) + count
    return class_rows(confusion_matrix(pairs, classes), classes)
