"""The tab "Scores": the scores of a class in its own and other images, and all classes."""

from __future__ import annotations

import numpy as np
from fiftyone.operators import types

from ...dataset.cached import cached
from ...dataset.class_scores import ClassScores, class_scores
from ...dataset.evaluation import samples_of_class
from ...dataset.fields import field_info
from ...progress import counted
from ...review.confused import in_order, matches
from ...review.confusion import class_rows, confusion_matrix
from ...review.score_histogram import histogram, places, ranked
from ..texts import markdown, percent, shortened
from .choices import choice, row_of
from .chosen import LIST_WIDTH, Chosen, PredictionChoices
from .patches import catch_up
from .plots import draw_plot, shown_in
from .samples import show_samples
from .score_plots import class_bars_plot, histogram_plot, histogram_words

MOST_SAMPLES = 1000  # maximum number of samples that a click shows, those at one end
MOST_BARS = 50  # maximum number of classes that are drawn at once
FIRST = {"lowest": "lowest scores first", "highest": "highest scores first"}
ORDER = {
    "recall": "worst recall first",
    "labelled": "largest first",
    "name": "by name",
}


class ScoresTab(PredictionChoices):
    """The tab "Scores": it reads and draws its values, and handles its events."""

    def read_scores(self, ctx) -> None:
        """Read the scores of one class, and count all classes."""
        state, chosen = ctx.panel.state, self.read_choices(ctx)
        if chosen is None:
            return
        known, state.scored_words = self._known(ctx), ""
        self._read_bars(ctx, chosen)
        if not known or chosen.dataset.get_field(f"{chosen.name}_scores") is None:
            state.scored, state.scored_words = None, "These predictions have no scores."
            return
        if state.scored is None:  # the page was loaded again, or the server was restarted
            state.scored = _class_at(known, state.scored_class)
        if state.scored not in known:
            worst = [name for name in state.bar_classes or [] if name in known]
            state.scored = (worst or known)[0]
        state.scored_class = str(known.index(state.scored))
        self._read_histogram(ctx, chosen)

    def _known(self, ctx) -> list[str]:
        """Return the classes with scores; they are too many for the panel's state."""
        return field_info(ctx.dataset, ctx.panel.state.prediction_field).get("classes") or []

    def _scores(self, chosen: Chosen, label: str) -> ClassScores:
        return cached(
            chosen.dataset,
            ("scores", *chosen.key, label),
            lambda: class_scores(chosen.samples, chosen.label_field, chosen.name, label),
            chosen.state,
        )

    def _read_histogram(self, ctx, chosen: Chosen) -> None:
        state, found = ctx.panel.state, self._scores(chosen, ctx.panel.state.scored)
        if state.threshold is None:
            state.threshold = 0.5
        own, other = histogram(found.scores[found.own]), histogram(found.scores[~found.own])
        below = int((found.own & (found.scores < state.threshold)).sum())
        above = int((~found.own & (found.scores >= state.threshold)).sum())
        state.below, state.above = below, above
        name = markdown(shortened(state.scored, 60))
        state.scored_words = (
            f"Scores of **{name}**: {counted(int(found.own.sum()), 'image')} with this label, "
            f"{counted(int((~found.own).sum()), 'other')}. Click a bar to see its images, "
            f"{FIRST[state.first or 'lowest']}.{chosen.out_words}\n\n{histogram_words(own, other)}"
        )
        state.histogram = histogram_plot(own, other, state.scored, state.threshold)

    def _read_bars(self, ctx, chosen: Chosen) -> None:
        """Read the size and recall of each class."""
        state, counts = ctx.panel.state, chosen.counts()[0]
        classes = sorted({x for pair in counts for x in pair})
        rows = class_rows(confusion_matrix(counts, classes), classes)
        order = state.bar_order or "recall"
        rows = [
            x for x in in_order(rows, order) if x.labelled and matches(x.name, state.bar_search)
        ]
        drawn = rows[:MOST_BARS]
        state.bar_classes = [row.name for row in drawn]
        more = f" ({len(drawn)} of {len(rows)})" if len(rows) > len(drawn) else ""
        state.bar_title = f"Size and recall of each class, {ORDER[order]}{more}"
        if drawn:
            state.bars = class_bars_plot(drawn)

    def draw_scores(self, ctx, panel: types.Object) -> None:
        """Draw the tab."""
        state = ctx.panel.state
        if not state.prediction_fields:
            self.draw_without_predictions(ctx, panel)
            return
        row = self.draw_choices(ctx, panel)
        choice(
            ctx,
            row,
            "choices.first",
            FIRST,
            state.first or "lowest",
            "A click shows",
            self.on_first,
        )
        if state.scored is not None:
            self._draw_histogram(ctx, panel)
        else:
            panel.md(state.scored_words, name="scored_words")
        bars = row_of(panel, "bar_choices", LIST_WIDTH)
        view = types.TextFieldView(placeholder="Part of a name")
        bars.str("bar_search", label="Find classes", view=view, on_change=self.on_bar_search)
        order = state.bar_order or "recall"
        choice(ctx, bars, "bar_choices.bar_order", ORDER, order, "Classes", self.on_bar_order)
        if not state.bar_classes:
            words = "No class has such a name." if state.bar_search else "There are no labels here."
            panel.md(words, name="no_bars")
            return
        panel.md(f"**{state.bar_title}**. Click a size to see the class.", name="bar_words")
        shows = list(state.bar_classes)
        draw_plot(panel, "bars", state.bars, on_click=self.on_class_bar, shows=shows)

    def _draw_histogram(self, ctx, panel: types.Object) -> None:
        state = ctx.panel.state
        names = types.AutocompleteView(allow_user_input=False, allow_clearing=False)
        for number, name in enumerate(self._known(ctx)):
            names.add_choice(str(number), label=shortened(name, 60))
        panel.enum(  # not in a row, where it would be too narrow for class names
            "scored_class", names.values(), label="Class", view=names, on_change=self.on_scored
        )
        panel.md(state.scored_words, name="scored_words")
        shows = state.scored
        draw_plot(panel, "histogram", state.histogram, on_click=self.on_score_bar, shows=shows)
        slider = types.SliderView(value_precision=2, label_position="top", min=0, max=1)
        panel.float(
            "threshold", min=0, max=1, label="Threshold", view=slider, on_change=self.on_threshold
        )
        buttons = row_of(panel, "threshold_buttons")
        limit = f"{state.threshold:.2f}"
        for name, count, words in (
            ("below", state.below, f"with this label below {limit}"),
            ("above", state.above, f"with another label at {limit} or above"),
        ):
            buttons.btn(
                name,
                label=f"Show {count} {words}",
                on_click=self.on_side,
                params={"side": name, "label": state.scored, "threshold": state.threshold},
                variant="outlined",
            )
        buttons.btn("show_all", label="Show all", on_click=self.on_show_all, variant="outlined")
        buttons.btn("refresh", label="Refresh", on_click=self.on_count_again, variant="outlined")

    def on_scored(self, ctx) -> None:
        """Show another class."""
        name = _class_at(self._known(ctx), ctx.params.get("value"))
        if name not in (None, ctx.panel.state.scored):  # each choice is sent twice
            ctx.panel.state.scored = name
            self.read_scores(ctx)

    def on_first(self, ctx) -> None:
        """Show the lowest or the highest scores first."""
        ctx.panel.state.first = ctx.params["value"]
        self.read_scores(ctx)

    def on_threshold(self, ctx) -> None:
        """Move the threshold."""
        ctx.panel.state.threshold = float(ctx.params["value"])
        self.read_scores(ctx)

    def on_bar_search(self, ctx) -> None:
        """Show the classes whose names contain a text."""
        ctx.panel.state.bar_search = ctx.params["value"]
        self.read_scores(ctx)

    def on_bar_order(self, ctx) -> None:
        """Change the order of the classes."""
        ctx.panel.state.bar_order = ctx.params["value"]
        self.read_scores(ctx)

    def on_score_bar(self, ctx) -> None:
        """Show the samples of a bar: those of the class above, all others below."""
        own, number = ctx.params["trace_idx"] == 0, ctx.params["idx"]
        chosen = self.chosen(ctx)
        found = self._scores(chosen, shown_in(ctx))
        wanted = (found.own == own) & (places(found.scores) == number)
        self._show(ctx, chosen, found, wanted, ctx.panel.state.first == "highest")

    def on_side(self, ctx) -> None:
        """Show mistakes by the threshold: samples of the class below it, or others above it."""
        chosen, threshold = self.chosen(ctx), ctx.params["threshold"]
        found = self._scores(chosen, ctx.params["label"])
        is_above = ctx.params["side"] == "above"
        on_side = (found.scores >= threshold) == is_above
        self._show(ctx, chosen, found, (found.own != is_above) & on_side, is_above)

    def _show(
        self, ctx, chosen: Chosen, found: ClassScores, wanted: np.ndarray, highest: bool
    ) -> None:
        ids = found.ids_of(ranked(found.scores, wanted, highest, MOST_SAMPLES))
        if not ids:
            ctx.ops.notify("There are no such images.", variant="info")
            return
        if (count := int(wanted.sum())) > len(ids):
            which = "highest" if highest else "lowest"
            ctx.ops.notify(f"The {which} {len(ids)} of {count} are shown.", variant="info")
        view = chosen.dataset.select(ids, ordered=True)
        show_samples(ctx, view, chosen.label_field, chosen.name)

    def on_class_bar(self, ctx) -> None:
        """Show the samples of a class; for the bar of recall, only those predicted as others."""
        state, chosen = ctx.panel.state, self.chosen(ctx)
        label, wrong = shown_in(ctx)[ctx.params["idx"]], ctx.params["trace_idx"] == 1
        view = samples_of_class(chosen.samples, chosen.label_field, chosen.name, label, wrong)
        if label in self._known(ctx):
            catch_up(ctx)
            state.scored = label
            self.read_scores(ctx)
        if wrong and not len(view):
            every = samples_of_class(chosen.samples, chosen.label_field, chosen.name, label)
            name = shortened(label, 40)
            words = f"All of {name} are predicted rightly: {percent(1.0)} recall."
            if not len(every):  # labels have changed since the bar was drawn
                words = "There are no such images."
            ctx.ops.notify(markdown(words), variant="info")
            return
        show_samples(ctx, view, chosen.label_field, chosen.name)


def _class_at(known: list[str], value: object) -> str | None:
    """Return the class that a list of classes stands at; None if it stands at none of them."""
    is_place = str(value).isdigit() and int(str(value)) < len(known)
    return known[int(str(value))] if is_place else None
