"""The tab "Runs": the trained classifiers, and actions for them."""

from __future__ import annotations

from contextlib import suppress

import fiftyone as fo
from fiftyone.operators import types

from ...dataset.comparisons import newest_comparison
from ...dataset.fields import OWNER
from ...dataset.learned import learned_words
from ...dataset.measured import difference
from ...dataset.run import BEFORE_REVIEW
from ...dataset.runs import (
    Run,
    canceled_words,
    labels_of_run,
    list_runs,
    load_run,
    newest_run,
    trained_at,
)
from ...jobs.queue import list_jobs
from ...training.curves import kept_words
from ..operators.labels import in_labels
from ..operators.recipe_fields import OF_RUN
from ..texts import markdown, shortened
from .choices import choice, row_of
from .plots import curves_plot, draw_plot
from .resuming import ended_job
from .run_rows import COLUMNS, LONGEST, describe_runs, is_canceled, with_trainings
from .tables import BREAK, MOST, breakable, draw_table, name_of


class RunsTab:
    """The tab "Runs": it reads and draws its values, and handles its events."""

    def read_runs(self, ctx) -> None:
        """Store the runs in the panel's state."""
        try:
            self._read_runs(ctx)
        except ValueError:  # another process has deleted one of them meanwhile
            ctx.dataset.reload()
            self._read_runs(ctx)

    def _read_runs(self, ctx) -> None:
        state, dataset = ctx.panel.state, ctx.dataset
        rows = describe_runs(dataset)
        state.run_keys = keys = [row["key"] for row in rows]
        state.runs = rows = with_trainings(dataset, rows)
        state.run_rows = [
            {name: breakable(shortened(value, MOST)) for name, value in row.items()}
            | {"training": row["training"].replace("_", f"_{BREAK}")}  # is shown whole
            for row in rows
        ]
        state.other_measures = other_measures(dataset)
        state.shown_run = shown = self._run_to_show(ctx, keys)
        if shown is None:
            return
        state.can_resume_run = canceled_words(dataset, shown) is not None and shown not in (
            job.given.get("key") for job in list_jobs(dataset) if not job.has_ended
        )
        state.is_before_review = labels_of_run(dataset, shown) == BEFORE_REVIEW
        words, traces, layout = describe_run(dataset, shown)
        state.run_words, state.run_plot = words, (traces, layout)

    def _run_to_show(self, ctx, keys: list[str]) -> str | None:
        """Return the run that was chosen, unless another one was recorded since.

        Args:
            ctx: the context of an event
            keys: of all runs, newest first
        """
        state = ctx.panel.state
        if not keys:
            return None
        newest = newest_run(ctx.dataset)
        before, state.newest_run_at = state.newest_run_at, trained_at(ctx.dataset, newest)
        is_new = before is not None and state.newest_run_at > before
        return newest if is_new or state.shown_run not in keys else state.shown_run

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
            # Names of backbones are broken, or the last column would not fit into a narrow panel.
            rows = [row | {"training": LONGEST} for row in state.runs]
            name, shown = name_of("run_rows", state.run_rows), state.run_rows
            draw_table(panel, name, COLUMNS, rows=rows, names=tuple(COLUMNS), default=shown)
            if state.other_measures:
                panel.md(state.other_measures, name="other_measures")
        buttons = row_of(panel, "run_buttons", is_tight=True)
        label = "Train another classifier" if state.runs else "Train a classifier"
        variant = "text" if state.runs else "contained"
        buttons.btn("train", label=label, on_click=self.on_train, variant=variant)
        buttons.btn("import", label="Import run", on_click=self.on_import_run, variant="text")
        buttons.btn("refresh", label="Refresh", on_click=self.on_refresh, variant="text")
        if state.run_keys:
            self._draw_run(ctx, panel)

    def _draw_run(self, ctx, panel: types.Object) -> None:
        """Draw one run, with the buttons of what is done with it first and of what manages it."""
        state = ctx.panel.state
        keys = {key: key for key in state.run_keys}
        choice(ctx, panel, "shown_run", keys, state.shown_run, "Run", self.on_show_run)
        uses = {
            "use": ("Predict with it", self.on_predict_run),
            "evaluate": ("Evaluate", self.on_evaluate_run),
            "compare": ("Compare runs", self.on_compare_runs),
            "retrain": ("Retrain on corrected labels", self.on_retrain_run),
        }
        if len(keys) < 2:
            del uses["compare"]
        if state.is_before_review:
            del uses["retrain"]
        if state.can_resume_run:
            uses = {"resume": ("Resume", self.on_resume_run), **uses}
        actions = row_of(panel, "run_actions")
        for name, (label, on_click) in uses.items():
            variant = "contained" if name == next(iter(uses)) else "outlined"
            actions.btn(name, label=label, on_click=on_click, variant=variant)
        manage = row_of(panel, "run_more", is_tight=True)
        for name, label, on_click in (
            ("repeat", "Train as this run", self.on_repeat_run),
            ("rename", "Rename", self.on_rename_run),
            ("export", "Export", self.on_export_run),
            ("delete", "Delete", self.on_delete_run),
        ):
            manage.btn(name, label=label, on_click=on_click, variant="text")
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
        """Open the form of retrain."""
        ctx.prompt(f"{OWNER}/retrain", params={"run": ctx.panel.state.shown_run})

    def on_resume_run(self, ctx) -> None:
        """Resume the training of the run that is shown, on its own samples if they are known."""
        key = ctx.panel.state.shown_run
        if canceled_words(ctx.dataset, key) is None:
            self.read(ctx)  # it was resumed or deleted elsewhere
        elif job := ended_job(ctx.dataset, "fine_tune", {"key": key}):
            self._resume(ctx, job)
            self.turn_to(ctx, "jobs")
        else:
            given = {"key": key, "resume": True}
            self._start(ctx, "fine_tune", given)

    def on_repeat_run(self, ctx) -> None:
        """Open the form of fine_tune with the options of this run."""
        params = {"recipe": OF_RUN + ctx.panel.state.shown_run}
        ctx.prompt(f"{OWNER}/fine_tune", params=params)

    def on_compare_runs(self, ctx) -> None:
        """Open the form of compare_runs, with the newest other run."""
        shown = ctx.panel.state.shown_run
        others = [key for key in list_runs(ctx.dataset) if key != shown]
        other = others[-1] if others else None  # it was deleted in the meantime
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
        words = _describe(run, is_canceled(dataset, run), learned_words(dataset, run))
        if found := newest_comparison(dataset, run):
            said = found.pairs.words(found.a, found.b)
            words += f"\n\nCompared on the same images: {markdown(said)}."
        return words, *curves_plot(rows, run.best_epoch)
    except Exception as error:
        words = f"**{markdown(key)}** cannot be shown: {markdown(str(error))}"
        return words, *curves_plot({"history": [], "validations": []})


def _describe(run: Run, canceled: bool, learned: str) -> str:
    recipe = run.recipe
    names = ", ".join(map(markdown, run.classes[:10]))
    names += f" and {len(run.classes) - 10} more" if len(run.classes) > 10 else ""
    kept = kept_words(run.best_epoch)
    how = (
        f"{recipe['optimizer']}, learning rate {recipe['learning_rate']:g}, batches of "
        f"{recipe['batch_size']}, {run.epoch_words}{'; canceled' if canceled else ''}; kept: {kept}"
    )
    if not run.history:
        how = f"weights from a file, images of {recipe['image_size']} pixels ({recipe['resize']})"
    words = [f"**{markdown(run.key)}**: {recipe['backbone']}, {how}. Classes: {names}."]
    if learned:
        words[0] += f" Trained {learned}."
    words += [f"- {x['severity'].capitalize()}: {markdown(x['message'])}" for x in run.findings]
    return "\n\n".join(words)
