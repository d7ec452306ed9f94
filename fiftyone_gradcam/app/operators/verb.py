"""The base class of operators, which turns a verb into a button, a form and a job."""

from __future__ import annotations

import inspect
import logging
import os
from collections import deque
from collections.abc import Callable, Iterator
from importlib import import_module

import fiftyone as fo
import fiftyone.operators as foo
from bson.errors import InvalidId
from fiftyone.operators import types
from pymongo.errors import OperationFailure

from ...dataset.basis import all_labels
from ...dataset.fields import OWNER
from ...downloads import downloads_noted
from ...jobs import calls, queue
from ...jobs.job import Job
from ...jobs.reporter import Reporter
from ..showing import PLACE, RESTS_ON, show, show_job
from .forms import errors_out_of_sight, mark_fields, refuse
from .labels import in_labels
from .opened_for import check_same_dataset, stay_with_dataset
from .params import check_params, check_view, faults
from .sample_fields import DATASET, settle_target, target_input

logger = logging.getLogger(__name__)
SHOW_IMPORT = f"{OWNER}/show_import"  # of imports.js
# Errors that FiftyOne raises for invalid requests.
UNREADABLE = (TypeError, AttributeError, LookupError, UnicodeError, InvalidId)
PACKAGE = __name__.rsplit(".", 3)[0]


class Verb(foo.Operator):
    """A verb of the package as an operator of the same name.

    Subclasses define the label, the fields of the form, and the outcome that the App shows; the
    verb does the work. In the App, long calls become jobs. Calling an operator calls its verb:
    `foo.get_operator("@gradcam/classifier/predict")(dataset, run="key")` is
    `predict(dataset, run="key")`.
    """

    verb = ""
    label = ""
    action = ""  # label of the button that submits the form
    icon = ""
    description = ""
    is_long = True
    has_button = True
    needs_dataset = True
    scope: str | None = DATASET  # the default samples; None if samples cannot be chosen
    rests_on_labels = False  # True if the outcome must store a digest of the labels

    @property
    def config(self) -> foo.OperatorConfig:
        """Return the configuration of the operator."""
        return foo.OperatorConfig(
            name=self.verb,
            label=self.label,
            description=self.description,
            icon=self.icon,
            dynamic=True,
            execute_as_generator=self.is_long,
            allow_delegated_execution=self.is_long,
            risk_level=types.RiskLevel.MEDIUM,
            view_target=self.scope is not None,
        )

    def __call__(self, *args, **kwargs):
        """Call the verb, with the same arguments, result and errors."""
        return self.function(*args, **kwargs)

    @property
    def function(self) -> Callable:
        """The function of the verb."""
        return getattr(import_module(PACKAGE), self.verb)

    def resolve_placement(self, ctx) -> types.Placement | None:
        """Place a button above the grid of samples, if the operator has one."""
        if not self.has_button:
            return None
        return types.Placement(
            types.Places.SAMPLES_GRID_SECONDARY_ACTIONS,
            types.Button(label=self.label, icon=self.icon, prompt=True),
        )

    def resolve_input(self, ctx) -> types.Property:
        """Build the form, with errors shown while it is filled in.

        FiftyOne also builds the form before execution, and does not execute an invalid one.
        """
        inputs, refused = types.Object(), types.Object()
        try:
            if self._call(ctx) is None:  # in a job, the verb itself checks its arguments
                self._check_request(ctx)
                if self.needs_dataset:
                    stay_with_dataset(ctx, inputs)
                if self.scope is not None and ctx.dataset is not None:
                    target_input(ctx, inputs, self.scope)
                self.form(ctx, inputs)
                for name, message in faults(inputs, ctx.params):
                    refuse(refused, f"wrong_{name}", message)
                for name, message in errors_out_of_sight(inputs):
                    refuse(refused, f"top_{name}", message)
        except Exception as error:
            logger.debug("The form of %s cannot be built", self.verb, exc_info=True)
            refuse(refused, "wrong", in_labels(_words(error), self.verb))
        refused.properties.update(inputs.properties)  # errors come first
        mark_fields(refused)
        view = types.PromptView(label=self.label, submit_button_label=self.action)
        return types.Property(refused, view=view)

    def resolve_execution_options(self, ctx) -> foo.ExecutionOptions:
        """Offer "Schedule" only if an orchestrator would run it; long calls become jobs anyway."""
        is_app = bool(os.environ.get("FIFTYONE_SERVER"))
        can_schedule = not is_app or fo.config.allow_legacy_orchestrators
        return foo.ExecutionOptions(
            allow_immediate_execution=True,
            allow_delegated_execution=self.is_long and can_schedule,
        )

    def _call(self, ctx) -> str | None:
        """Return the serialized call of a job; None if the values of the form are used."""
        if "call" not in ctx.params:
            return None
        # The request itself, including "delegated", is not trusted.
        id = getattr(ctx, "_delegated_operation_id", None)
        return queue.call_of(id, self.uri, ctx.params["call"])

    def _check_request(self, ctx) -> None:
        """Refuse requests from which no form can be built; a request may contain anything."""
        check_params(self.verb, ctx.params)
        try:
            if self.needs_dataset:
                check_same_dataset(ctx)
            if ctx.dataset is not None:
                check_view(ctx)
                if self.scope is not None:
                    settle_target(ctx, self.scope)
                shown = ctx.view if self.scope is None else ctx.target_view()
                shown._pipeline()  # stages check their arguments only now
                return
        except UNREADABLE as error:
            raise ValueError(
                "The dataset, view, filters or selection of this request cannot be read. Reload "
                "the App, and choose them again"
            ) from error
        if self.needs_dataset:
            raise ValueError(f"{self.label} works on a dataset. Open one first")

    def given(self, ctx) -> dict:
        """Return the verb's arguments by name, after checking the parameters."""
        self._call(ctx)  # raises an error for a call that is not from a job
        self._check_request(ctx)
        try:
            return self.arguments(ctx)
        except KeyError as error:
            raise ValueError(f"{self.label} needs the parameter {error.args[0]!r}") from None

    def form(self, ctx, inputs: types.Object) -> None:
        """Add the fields of the form."""
        raise NotImplementedError

    def arguments(self, ctx) -> dict:
        """Return the verb's arguments by name, from the values of the form."""
        raise NotImplementedError

    def outcome(self, result, given: dict) -> dict:
        """Return the outcome to show for a result of the verb; see `..showing`.

        Args:
            result: the result of the verb
            given: the arguments of the verb by name
        """
        raise NotImplementedError

    def job_label(self, given: dict) -> str:
        """Return a description of the job."""
        return self.label

    def expected_seconds(self, given: dict) -> float | None:
        """Return how long a job will take, as its form has estimated; None if it has not."""
        return None

    def resolve_run_name(self, ctx) -> str:
        """Return the name of the run for an orchestrator."""
        return self.job_label(self.given(ctx))

    def takes_long(self, given: dict) -> bool:
        """Return whether a call becomes a job, for a verb that may take long."""
        return True

    def target(self, given: dict) -> str | None:
        """Return the lock that the job needs; None means that of the dataset."""
        return None

    def execute(self, ctx) -> object:
        """Run the verb: as a job if it takes long and was called in the App, otherwise directly."""
        call = self._call(ctx)
        own = ctx.dataset._doc.id if ctx.dataset is not None else None
        given = self.given(ctx) if call is None else calls.decode(call, own)
        if not self.is_long:
            basis = self._basis(given)
            outcome = self.outcome(self._done(given), given) | basis
            is_app = bool(os.environ.get("FIFTYONE_SERVER"))
            if is_app and PLACE in outcome and ctx.dataset is not None:
                # A message that goes away would take the place of what was written with it.
                job = queue.note_done(self.verb, self.job_label(given), ctx.dataset, outcome)
                deque(show_job(ctx, job.id), maxlen=0)
                return None
            if "summary" in outcome:
                ctx.ops.notify(outcome["summary"], variant="success")
            deque(show(ctx, outcome), maxlen=0)
            return None
        if ctx.delegated:
            return self._work(ctx, given)
        if not self.takes_long(given):
            return self._work_shortly(ctx, given)
        if os.environ.get("FIFTYONE_SERVER"):
            return self._queue(ctx, given)
        return self._work_at_once(ctx, given)

    def _done(self, given: dict) -> object:
        """Call the verb; the App shows its errors with the labels of the form."""
        try:
            return self.function(**given)
        except Exception as error:
            words = in_labels(str(error), self.verb)
            if not os.environ.get("FIFTYONE_SERVER") or words == str(error):
                raise
            raise ValueError(words) from error

    def _basis(self, given: dict) -> dict:
        return {RESTS_ON: all_labels(given["samples"])} if self.rests_on_labels else {}

    def _work(self, ctx, given: dict) -> dict:
        """Run the verb for a delegated operation, in a worker or another process."""
        with Reporter(ctx.request_params["run_doc"]) as reporter, downloads_noted(reporter.note):
            reporter.report("Starting")  # importing PyTorch takes seconds
            basis = self._basis(given)
            result = self.function(**given, progress=reporter)
            outcome = self.outcome(result, with_defaults(self.function, given))
            reporter.report(outcome["summary"], 1.0)
        return outcome | basis

    def _queue(self, ctx, given: dict) -> Iterator:
        """Queue a job, and open the panel that shows it."""
        # Not in a generator, so that the App shows its errors.
        expected = self.expected_seconds(given)
        job = queue.submit(self.verb, given, ctx.dataset, filled_in(ctx), expected)
        return show_job(ctx, job.id) if ctx.dataset is not None else self._follow(ctx, job)

    def _follow(self, ctx, job: Job) -> Iterator:
        """Let the form close, and show the progress of a job that no panel shows yet."""
        yield ctx.trigger(SHOW_IMPORT, params={"job": job.id})

    def _work_shortly(self, ctx, given: dict) -> Iterator:
        """Call a verb that is not long with these arguments; the form closes afterward."""
        outcome = self.outcome(self._done(given), given)
        yield ctx.ops.notify(outcome["summary"], variant="success")
        yield from show(ctx, outcome)

    def _work_at_once(self, ctx, given: dict) -> Iterator:
        """Call the verb in this process, outside the App."""
        yield ctx.ops.set_progress(label=f"{self.label} ...", progress=0)
        try:
            result = self.function(**given)
        except Exception as error:  # after the first message, the App would not show it
            yield ctx.ops.notify(str(error), variant="error")
            raise
        outcome = self.outcome(result, with_defaults(self.function, given))
        yield ctx.ops.notify(outcome["summary"], variant="success")
        yield from show(ctx, outcome)


def filled_in(ctx) -> dict:
    """Return the values of a form by name, with the choice of samples, which FiftyOne separates."""
    target = ctx.request_params.get("view_target")
    return dict(ctx.params) if target is None else {**ctx.params, "view_target": target}


def _words(error: Exception) -> str:
    """Return the text to show for an error, with its type if it is an unexpected one."""
    words = " ".join(str(error).split())
    if isinstance(error, OperationFailure):  # an invalid stage or filter
        said = (error.details or {}).get("errmsg") or words
        return f"The database cannot read the view or the filters of this request: {said}"
    if isinstance(error, AttributeError | LookupError | TypeError | RecursionError):
        return f"The values of this request make no sense ({type(error).__name__}: {words})"
    return words or type(error).__name__


def with_defaults(function: Callable, given: dict) -> dict:
    """Return arguments by name, with defaults for those that are missing."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty} | given
