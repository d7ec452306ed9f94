"""The choices that the tabs about predictions share: the prediction field and the samples."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import fiftyone as fo
from fiftyone.operators import types

from ...dataset.cached import cached, forget, state_of
from ...dataset.evaluation import evaluation_counts, prediction_fields
from ...dataset.fields import field_info
from ...dataset.judged import PARTS, judged, parts_of
from ...dataset.reviews import left_out_words
from ...dataset.runs import list_runs, trained_at
from ...review.calibration import Bin
from ..texts import markdown
from .choices import choice, row_of

LIST_WIDTH = 170  # pixels: "highest scores first" is not cut off


@dataclass(frozen=True)
class Chosen:
    """The predictions and samples that are shown.

    Attributes:
        dataset: the dataset of the App
        name: the prediction field
        label_field: the field of the labels that the predictions are compared with
        part: see `fiftyone_gradcam.dataset.judged`
        state: the state of the dataset, see `fiftyone_gradcam.dataset.cached`
        samples: the samples that are counted
        out_words: the numbers of samples left out by reviews, in words; empty if there are none
    """

    dataset: fo.Dataset
    name: str
    label_field: str
    part: str
    state: tuple
    samples: fo.core.collections.SampleCollection
    out_words: str

    @property
    def key(self) -> tuple[str, str, str]:
        """The key under which counts are cached."""
        return (self.name, self.label_field, self.part)

    def counts(self) -> tuple[dict[tuple[str, str], int], list[Bin]]:
        """Return the cached `fiftyone_gradcam.dataset.evaluation.evaluation_counts`."""
        return cached(
            self.dataset,
            ("counts", *self.key),
            lambda: evaluation_counts(self.samples, self.label_field, self.name),
            self.state,
        )


class PredictionChoices:
    """The part of a tab with these choices: it reads and draws them, and handles their events."""

    def read_choices(self, ctx) -> Chosen | None:
        """Store the available choices in the panel's state.

        Returns:
            the current choice; None if there are no predictions
        """
        state, dataset = ctx.panel.state, ctx.dataset
        state.prediction_fields = names = prediction_fields(dataset)
        if not names:
            return None
        if state.prediction_field not in names:
            runs = list_runs(dataset)
            trained = [name for name in names if field_info(dataset, name).get("run") in runs]
            self._stand(ctx, "prediction_field", (trained or names)[0])
        token = state_of(dataset)
        state.parts = parts_of(dataset, token)
        if state.part not in state.parts:
            self._stand(ctx, "part", state.parts[0])
        chosen = self.chosen(ctx, token)
        state.label_field = chosen.label_field
        return chosen

    def choose_predictions(self, ctx, name: str | None) -> None:
        """Choose the field that was written just now, unless it is none."""
        if name in prediction_fields(ctx.dataset):
            self._stand(ctx, "prediction_field", name)

    def count_ahead(self, ctx) -> None:
        """Count what the tabs will show, in advance."""
        chosen = self.read_choices(ctx)
        if chosen is not None:
            chosen.counts()

    def _stand(self, ctx, name: str, value: str) -> None:
        """Set a choice, and its list, because the old choice is no longer available."""
        if ctx.panel.state.get(name) is not None:
            ctx.panel.set_state(f"choices.{name}", value)
        ctx.panel.set_state(name, value)

    def chosen(self, ctx, token: tuple = ()) -> Chosen:
        """Return the current choice, from the panel's state."""
        dataset, name, part = ctx.dataset, ctx.panel.state.prediction_field, ctx.panel.state.part
        token = token or state_of(dataset)
        samples, out = judged(dataset, part, token)
        label_field = field_info(dataset, name).get("label_field") or "ground_truth"
        words = f" Left out by reviews: {left_out_words(out)}." if out else ""
        return Chosen(dataset, name, label_field, part, token, samples, words)

    def draw_choices(self, ctx, panel: types.Object) -> types.Object:
        """Draw the choices, and return their row, to which more can be added."""
        state = ctx.panel.state
        row = row_of(panel, "choices", LIST_WIDTH)
        choice(
            ctx,
            row,
            "choices.prediction_field",
            {name: name for name in state.prediction_fields},
            state.prediction_field,
            "Predictions",
            self.on_prediction_field,
        )
        parts = {part: PARTS[part] for part in state.parts}
        choice(ctx, row, "choices.part", parts, state.part, "Of the samples tagged", self.on_part)
        return row

    def draw_without_predictions(self, ctx, panel: types.Object) -> None:
        """Show what is running, or what to do first, if there are no predictions."""
        state = ctx.panel.state
        if state.is_busy and state.cards:
            words = f"There are no predictions here yet. {state.cards[0]['words']}"
            panel.md(words, name="no_predictions")
            return
        words = f"There are no predictions here yet. {markdown(state.next[0]['words'])}"
        panel.md(words, name="no_predictions")
        label = state.next[0]["label"]
        params = {"label": label}
        panel.btn("next", label=label, on_click=self.on_next, params=params, variant="contained")

    def on_prediction_field(self, ctx) -> None:
        """Show another prediction field."""
        ctx.panel.state.prediction_field = ctx.params["value"]
        self.read(ctx)

    def on_part(self, ctx) -> None:
        """Show another part of the samples."""
        ctx.panel.state.part = ctx.params["value"]
        self.read(ctx)

    def on_count_again(self, ctx) -> None:
        """Clear the cache, and count again."""
        forget()
        self.read(ctx)

    def on_show_all(self, ctx) -> None:
        """Show all samples in the grid again."""
        ctx.ops.clear_view()


def made_words(chosen: Chosen) -> str:
    """Return in Markdown which run made the predictions, when it was recorded, and which labels
    they are compared with."""
    info, runs = field_info(chosen.dataset, chosen.name), list_runs(chosen.dataset)
    key, version = str(info.get("run")), info.get("version")
    words = f"Predicted by {key!r}"
    if key in runs:
        words = f"Predicted by run {key!r}"
        with suppress(TypeError, ValueError):  # fields of earlier versions have no version
            words += f", recorded {datetime.fromisoformat(version):%d %b %Y %H:%M} UTC"
        if version is not None and version != trained_at(chosen.dataset, key):
            words += " (it was trained again since)"
    return markdown(f"{words}. Compared with the current labels in {chosen.label_field!r}.")
