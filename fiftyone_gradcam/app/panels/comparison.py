"""The comparison with predictions of another run, in the tab "Evaluate"."""

from __future__ import annotations

from fiftyone.operators import types

from ...dataset.cached import cached
from ...dataset.evaluation import counts_of_two, samples_compared
from ...review.comparison import Pairs
from ...review.confusion import class_rows, confusion_matrix
from ..compared import compared
from ..texts import percent
from .choices import choice
from .chosen import Chosen
from .compared import draw_compared, result_of
from .samples import show_samples

NONE = "none"
# Whether the first and the second prediction are right, by result.
RIGHT = {
    "both_right": (True, True),
    "fixed": (False, True),
    "broken": (True, False),
    "both_wrong": (False, False),
}


class ComparisonPart:
    """The part of the tab with the comparison: it reads and draws it, and handles its events."""

    def read_comparison(self, ctx, chosen: Chosen) -> dict[str, list[float | None]]:
        """Count the predictions of both runs, and return F1 of both by class, if both exist."""
        state = ctx.panel.state
        state.comparison_words, state.compared = "", None
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
        state.compared = compared(pairs, state.other, chosen.name)
        classes = sorted({x for three in counts for x in three})
        both: dict[str, list[float | None]] = {}
        for place in (1, 2):
            for row in _rows(counts, classes, place):
                both.setdefault(row.name, []).append(row.f1)
        return both

    def compared_columns(self, ctx) -> dict[str, str]:
        """Return the additional columns of the table of classes."""
        return {"change": "F1 change"} if ctx.panel.state.compared else {}

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
        """Draw the result of the comparison, with buttons that show samples."""
        state = ctx.panel.state
        if state.compared:
            draw_compared(panel, state.compared, self.on_compared)
        elif state.comparison_words:
            panel.md(state.comparison_words, name="comparison_words")

    def on_other(self, ctx) -> None:
        """Compare with another prediction field."""
        ctx.panel.state.other = ctx.params["value"]
        self.read_evaluation(ctx)

    def on_compared(self, ctx) -> None:
        """Show the samples of one result of the comparison."""
        chosen, other, result = self.chosen(ctx), ctx.panel.state.other, result_of(ctx)
        if result is None:
            return
        view = samples_compared(
            chosen.samples, chosen.label_field, other, chosen.name, *RIGHT[result]
        )
        show_samples(ctx, view, chosen.label_field, chosen.name)


def compared_cells(both: dict[str, list[float | None]], name: str) -> dict[str, str]:
    """Return the cells of a class in the columns of the comparison."""
    if not both:
        return {}
    before, now = both.get(name, (None, None))
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
