"""Operators that evaluate and compare runs, retrain one on corrected labels, and save views."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fiftyone.operators import types

from ...dataset.evaluation import prediction_fields
from ...dataset.fields import field_info
from ...dataset.run import BEFORE_REVIEW, CURRENT
from ...dataset.run_keys import free_key, repeated
from ...dataset.runs import list_runs, load_run, newest_run
from ...jobs.calls import pack_ids
from ...review.comparison import RESULTS
from ..compared import compared
from .forms import choice_input, new_key_check, refuse, text_input
from .labels import LABELS, label_of
from .runs import run_input
from .sample_fields import excluded_input, label_field_input, labels_input
from .verb import Verb

if TYPE_CHECKING:
    from ...workflow.comparing import Comparison


def _outcome(result: Comparison) -> dict:
    """Describe a comparison, with the samples of each result for buttons that show them."""
    found = compared(result.pairs, result.a, result.b)
    found |= {"notes": result.notes, "label_field": result.label_field}
    found["runs"] = [result.b, result.a]
    found["ids"] = {name: pack_ids(getattr(result, name).values("id")) for name in RESULTS}
    return {"summary": result.words, "changed": False, "comparison": found}


class CompareRuns(Verb):
    """`compare_runs` as an operator."""

    verb = "compare_runs"
    label = "Compare runs"
    action = "Compare"
    icon = "compare_arrows"
    description = "Compare two classifiers on the same samples, with current labels"
    rests_on_labels = True
    has_button = False

    def form(self, ctx, inputs: types.Object) -> None:
        """Add fields for both runs and for further options."""
        keys = list_runs(ctx.dataset)
        if len(keys) < 2:
            refuse(inputs, "too_few", "Comparing takes two runs. Train another classifier first")
            return
        newest = newest_run(ctx.dataset)
        other = next(key for key in reversed(keys) if key != newest)
        for name, default in (("a", other), ("b", newest)):
            choice_input(inputs, name, {key: key for key in keys}, default, LABELS[name])
        if ctx.params.get("a") and ctx.params.get("a") == ctx.params.get("b"):
            refuse(inputs, "same", "Choose two different runs")
        label_field_input(ctx, inputs, is_rare=True)
        excluded_input(ctx, inputs)

    def arguments(self, ctx) -> dict:
        """Return the verb's arguments from the values of the form."""
        params = ctx.params
        return {
            "samples": _target(ctx),
            "a": params["a"],
            "b": params["b"],
            "label_field": params.get("label_field") or None,
            "include_excluded": bool(params.get("include_excluded")),
        }

    def job_label(self, given: dict) -> str:
        """Name the runs."""
        return f"Compare {given['a']!r} and {given['b']!r}"

    def outcome(self, result, given: dict) -> dict:
        """Show the result, with buttons for its samples."""
        return _outcome(result)


class Retrain(Verb):
    """`retrain` as an operator."""

    verb = "retrain"
    label = "Retrain on corrected labels"
    action = "Retrain"
    scope = None
    icon = "restart_alt"
    description = "Repeat the training of a run with current labels, and compare both"
    rests_on_labels = True
    has_button = False

    def form(self, ctx, inputs: types.Object) -> None:
        """Add fields for the run and for the name of the new one."""
        key = run_input(ctx, inputs, "run")
        if key is None:
            return
        run = load_run(ctx.dataset, key)
        if run.labels == BEFORE_REVIEW:
            words = f"{key!r} was trained on the labels before review. Choose another run"
            refuse(inputs, "before_review", words)
            return
        labels_input(ctx, inputs, run.label_field)
        labels = ctx.params.get("labels") or CURRENT
        example = free_key(ctx.dataset, repeated(key, labels))
        text_input(ctx, inputs, "key", "Name of the new run", example)
        new_key_check(ctx, inputs, ctx.params.get("key"), resumes=True)
        excluded_input(ctx, inputs)

    def arguments(self, ctx) -> dict:
        """Return the verb's arguments from the values of the form."""
        return {
            "samples": ctx.dataset,
            "run": ctx.params["run"],
            "key": ctx.params.get("key") or None,
            "labels": ctx.params.get("labels") or CURRENT,
            "include_excluded": bool(ctx.params.get("include_excluded")),
        }

    def job_label(self, given: dict) -> str:
        """Name the run."""
        if given.get("labels") == BEFORE_REVIEW:
            return f"Retrain {given['run']!r} on the labels before review"
        return f"Retrain {given['run']!r} on corrected labels"

    def outcome(self, result, given: dict) -> dict:
        """Show the comparison of both runs."""
        return _outcome(result)


class Evaluate(Verb):
    """`evaluate` as an operator."""

    verb = "evaluate"
    label = "Evaluate a run"
    action = "Evaluate"
    icon = "analytics"
    description = "Precision, recall, F1 and calibration, for the Model Evaluation panel too"
    rests_on_labels = True
    has_button = False

    def form(self, ctx, inputs: types.Object) -> None:
        """Add fields for the run and for further measurements."""
        if run_input(ctx, inputs, "run") is None:
            return
        label_field_input(ctx, inputs, is_rare=True)
        words = "Fit a temperature on the validation samples"
        inputs.bool("temperature", default=False, label=LABELS["temperature"], description=words)
        excluded_input(ctx, inputs)

    def arguments(self, ctx) -> dict:
        """Return the verb's arguments from the values of the form."""
        params = ctx.params
        return {
            "samples": _target(ctx),
            "run": params["run"],
            "label_field": params.get("label_field") or None,
            "temperature": bool(params.get("temperature")),
            "include_excluded": bool(params.get("include_excluded")),
        }

    def job_label(self, given: dict) -> str:
        """Name the run."""
        return f"Evaluate {given['run']!r}"

    def outcome(self, result, given: dict) -> dict:
        """Show the accuracy, and where to find more."""
        low, high = result.interval
        return {
            "summary": f"{result.right} of {result.count} are right: {result.accuracy:.1%} (95% "
            f"interval {low:.1%} to {high:.1%}), calibration error "
            f"{result.calibration_error:.3f}. The Model Evaluation panel shows {result.key!r}"
        }


class SaveViews(Verb):
    """`save_views` as an operator."""

    verb = "save_views"
    label = "Save views"
    action = "Save"
    scope = None
    icon = "bookmarks"
    description = "Save views of suspicious labels, lowest and highest scores, mistakes and more"
    is_long = False
    has_button = False

    def form(self, ctx, inputs: types.Object) -> None:
        """Add a field for the predictions."""
        names = prediction_fields(ctx.dataset)
        if names:
            label = label_of("prediction_field", self.verb)
            choice_input(inputs, "prediction_field", {n: n for n in names}, names[0], label)
        elif not field_info(ctx.dataset, "label_quality"):
            refuse(inputs, "nothing", "There are no predictions yet. Predict first")
        words = "Other views of these names too"
        label = label_of("overwrite")
        inputs.bool("overwrite", default=False, label=label, description=words)

    def arguments(self, ctx) -> dict:
        """Return the verb's arguments from the values of the form."""
        return {
            "samples": ctx.dataset,
            "prediction_field": ctx.params.get("prediction_field") or None,
            "overwrite": bool(ctx.params.get("overwrite")),
        }

    def outcome(self, result, given: dict) -> dict:
        """Show the number of views."""
        return {"summary": f"Saved {len(result)} views. Find them in the list of saved views"}


def _target(ctx):
    """Return the chosen view; the dataset itself if the view has no stages."""
    target = ctx.target_view()
    return target if getattr(target, "_stages", None) else ctx.dataset
