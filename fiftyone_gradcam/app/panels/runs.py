"""The tab "Runs": the trained classifiers, and actions for them."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

import fiftyone as fo
from fiftyone.operators import types

from ...dataset.fields import OWNER
from ...dataset.measured import difference
from ...dataset.runs import Run, canceled_words, list_runs, load_run
from ...review.confusion import wilson_interval
from ..operators.labels import in_labels
from ..operators.recipe_fields import OF_RUN
from ..texts import markdown, percent
from .choices import choice, row_of
from .plots import curves_plot, draw_plot
from .tables import draw_table

COLUMNS = {
    "key": "Run",
    "backbone": "Backbone",
    "val_accuracy": "Val accuracy (95% interval)",
    "recorded": "Recorded (UTC)",
}


class RunsTab:
    """The tab "Runs": it reads and draws its values, and handles its events."""

    def read_runs(self, ctx) -> None:
        """Store the runs in the panel's state."""
        ctx.panel.state.runs = rows = describe_runs(ctx.dataset)
        keys = [row["key"] for row in rows]
        ctx.panel.state.other_measures = other_measures(ctx.dataset)
        shown = ctx.panel.state.shown_run
        ctx.panel.state.shown_run = shown = shown if shown in keys else next(iter(keys), None)
        if shown is None:
            return
        words, traces, layout = describe_run(ctx.dataset, shown)
        ctx.panel.state.run_words, ctx.panel.state.run_plot = words, (traces, layout)

    def draw_runs(self, ctx, panel: types.Object) -> None:
        """Draw the tab."""
        state = ctx.panel.state
        if not state.runs:
            panel.md(
                "There are no trained classifiers here yet. Train one, or import one that was "
                "exported.",
                name="no_runs",
            )
        else:
            draw_table(panel, "runs", COLUMNS, names=("key", "backbone", "val_accuracy"))
            if state.other_measures:
                panel.md(state.other_measures, name="other_measures")
        buttons = row_of(panel, "run_buttons")
        buttons.btn("train", label="Train a classifier", on_click=self.on_train)
        buttons.btn("import", label="Import run", on_click=self.on_import_run)
        buttons.btn("refresh", label="Refresh", on_click=self.on_refresh)
        if not state.runs:
            return
        keys = {row["key"]: row["key"] for row in state.runs}
        choice(ctx, panel, "shown_run", keys, state.shown_run, "Run", self.on_show_run)
        actions = row_of(panel, "run_actions")
        actions.btn(
            "use", label="Predict with it", on_click=self.on_predict_run, variant="contained"
        )
        actions.btn("evaluate", label="Evaluate", on_click=self.on_evaluate_run)
        actions.btn("retrain", label="Retrain on corrected labels", on_click=self.on_retrain_run)
        if len(keys) > 1:
            actions.btn("compare", label="Compare", on_click=self.on_compare_runs)
        actions.btn("repeat", label="Train as this run", on_click=self.on_repeat_run)
        actions.btn("rename", label="Rename", on_click=self.on_rename_run)
        actions.btn("export", label="Export", on_click=self.on_export_run)
        actions.btn("delete", label="Delete", on_click=self.on_delete_run)
        panel.md(state.run_words, name="run_words")
        draw_plot(panel, "run_curves", state.run_plot)

    def on_show_run(self, ctx) -> None:
        """Show another run."""
        ctx.panel.state.shown_run = ctx.params["value"]
        self.read_runs(ctx)

    def on_predict_run(self, ctx) -> None:
        """Open the form of predict."""
        ctx.prompt(f"{OWNER}/predict", params={"run": ctx.panel.state.shown_run})

    def on_evaluate_run(self, ctx) -> None:
        """Open the form of evaluate."""
        ctx.prompt(f"{OWNER}/evaluate", params={"run": ctx.panel.state.shown_run})

    def on_retrain_run(self, ctx) -> None:
        """Repeat the training with the current labels."""
        ctx.trigger(f"{OWNER}/retrain", params={"run": ctx.panel.state.shown_run})

    def on_repeat_run(self, ctx) -> None:
        """Open the form of fine_tune with the options of this run."""
        params = {"recipe": OF_RUN + ctx.panel.state.shown_run}
        ctx.prompt(f"{OWNER}/fine_tune", params=params)

    def on_compare_runs(self, ctx) -> None:
        """Open the form of compare_runs, with the newest other run."""
        shown = ctx.panel.state.shown_run
        other = next(key for key in reversed(list_runs(ctx.dataset)) if key != shown)
        ctx.prompt(f"{OWNER}/compare_runs", params={"a": other, "b": shown})

    def on_rename_run(self, ctx) -> None:
        """Open the form of rename_run."""
        self._ask(ctx, "rename_run", "key")

    def on_export_run(self, ctx) -> None:
        """Open the form of export_run."""
        self._ask(ctx, "export_run", "run")

    def on_delete_run(self, ctx) -> None:
        """Open the form of delete_run, which asks for confirmation."""
        self._ask(ctx, "delete_run", "key")

    def on_import_run(self, ctx) -> None:
        """Open the form of import_run."""
        ctx.prompt(f"{OWNER}/import_run", on_success=self.on_refresh)

    def on_train(self, ctx) -> None:
        """Open the form of fine_tune."""
        ctx.prompt(f"{OWNER}/fine_tune")

    def _ask(self, ctx, verb: str, name: str) -> None:
        params = {name: ctx.panel.state.shown_run}
        ctx.prompt(f"{OWNER}/{verb}", params=params, on_success=self.on_refresh)


def describe_runs(dataset: fo.Dataset) -> list[dict[str, str]]:
    """Return a row of the table for each run, newest first; damaged records are marked."""
    rows = []
    for key in reversed(list_runs(dataset)):
        try:
            row = _row(load_run(dataset, key))
        except Exception:  # any error in one record: the other runs are still shown
            row = {"backbone": "damaged record", "val_accuracy": "", "recorded": ""}
        rows.append({"key": key, **row})
    return rows


def other_measures(dataset: fo.Dataset) -> str:
    """Return why the accuracies in the table cannot be compared; empty if they can."""
    measured = {}
    for key in list_runs(dataset):
        with suppress(Exception):  # the table shows damaged records
            run = load_run(dataset, key)
            if run.val_accuracy is not None:
                measured[key] = run.measured
    return markdown(in_labels(difference(measured) or ""))


def describe_run(dataset: fo.Dataset, key: str) -> tuple[str, list[dict], dict]:
    """Return a description of a run, and its curves as traces and layout."""
    try:
        run = load_run(dataset, key)
        rows = {"history": run.history, "validations": run.validations}
        canceled = canceled_words(dataset, key) is not None
        return _describe(run, canceled), *curves_plot(rows, run.best_epoch)
    except Exception as error:
        words = f"**{markdown(key)}** cannot be shown: {markdown(str(error))}"
        return words, *curves_plot({"history": [], "validations": []})


def _row(run: Run) -> dict[str, str]:
    recorded = datetime.fromisoformat(run.trained)
    return {
        "backbone": run.recipe["backbone"],
        "val_accuracy": _accuracy(run),
        "recorded": f"{recorded:%d %b %H:%M}",
    }


def _accuracy(run: Run) -> str:
    accuracy, count = run.val_accuracy, run.val_images
    if accuracy is None:
        return "not validated"
    if not count:
        return percent(accuracy)
    low, high = wilson_interval(round(accuracy * count), count)
    return f"{percent(accuracy)} ({percent(low)} to {percent(high)})"


def _describe(run: Run, canceled: bool) -> str:
    recipe = run.recipe
    names = ", ".join(map(markdown, run.classes[:10]))
    names += f" and {len(run.classes) - 10} more" if len(run.classes) > 10 else ""
    kept = f"epoch {run.best_epoch}" if run.best_epoch else "the new layers alone"
    how = (
        f"{recipe['optimizer']}, learning rate {recipe['learning_rate']:g}, batches of "
        f"{recipe['batch_size']}, {run.epoch_words}{'; canceled' if canceled else ''}; kept: {kept}"
    )
    if not run.history:
        how = f"weights from a file, images of {recipe['image_size']} pixels ({recipe['resize']})"
    words = [f"**{markdown(run.key)}**: {recipe['backbone']}, {how}. Classes: {names}."]
    words += [f"- {x['severity'].capitalize()}: {markdown(x['message'])}" for x in run.findings]
    return "\n\n".join(words)
