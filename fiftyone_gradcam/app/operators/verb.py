"""What all operators share: how a verb becomes a button, a form, and a job."""

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
from ...jobs import calls, queue
from ...jobs.job import Job
from ...jobs.reporter import Reporter
from ..showing import RESTS_ON, show, show_job
from .forms import mark_fields, refuse
from .labels import in_labels
from .params import check_params, check_view, faults
from .sample_fields import DATASET, settle_target, target_input

logger = logging.getLogger(__name__)
FOLLOW = f"{OWNER}/follow_job"
# What FiftyOne raises about requests that it cannot read.
UNREADABLE = (TypeError, AttributeError, LookupError, UnicodeError, InvalidId)
PACKAGE = __name__.rsplit(".", 3)[0]


class Verb(foo.Operator):
    """A verb of the package as an operator of the same name.

    Subclasses say what it is called, which fields its form has, and what the App shows of the
    result; the work itself is the verb's. Long ones, pressed in the App, become jobs. Calling an
    operator calls the verb, so that `foo.get_operator("@gradcam/classifier/predict")(dataset,
    run="key")` is `predict(...)`.
    """

    verb = ""
    label = ""
    action = ""  # the button that sends the form
    icon = ""
    description = ""
    is_long = True
    has_button = True
    needs_dataset = True
    scope: str | None = DATASET  # what the form is about by default; None: no samples are chosen
    rests_on_labels = False  # and keeps nothing in the dataset that says of which

    @property
    def config(self) -> foo.OperatorConfig:
        """How FiftyOne lists the operator."""
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
        """Call the verb: same arguments, same result, same errors."""
        return self.function(*args, **kwargs)

    @property
    def function(self) -> Callable:
        """The verb."""
        return getattr(import_module(PACKAGE), self.verb)

    def resolve_placement(self, ctx) -> types.Placement | None:
        """Put a button above the grid of samples."""
        if not self.has_button:
            return None
        return types.Placement(
            types.Places.SAMPLES_GRID_SECONDARY_ACTIONS,
            types.Button(label=self.label, icon=self.icon, prompt=True),
        )

    def resolve_input(self, ctx) -> types.Property:
        """Build the form; what cannot work is said while the form is filled in.

        FiftyOne builds it before it executes anything too, and executes nothing that is refused.
        """
        inputs, refused = types.Object(), types.Object()
        try:
            if self._call(ctx) is None:  # of a job: the verb itself checks its arguments
                self._check_request(ctx)
                if self.scope is not None and ctx.dataset is not None:
                    target_input(ctx, inputs, self.scope)
                self.form(ctx, inputs)
                for name, message in faults(inputs, ctx.params):
                    refuse(refused, f"wrong_{name}", message)
        except Exception as error:
            logger.debug("The form of %s cannot be built", self.verb, exc_info=True)
            refuse(refused, "wrong", in_labels(_words(error), self.verb))
        refused.properties.update(inputs.properties)  # what is refused comes first
        mark_fields(refused)
        view = types.PromptView(label=self.label, submit_button_label=self.action)
        return types.Property(refused, view=view)

    def resolve_execution_options(self, ctx) -> foo.ExecutionOptions:
        """Offer "Schedule" beside the button only where somebody would do what is scheduled: long
        work is a job of its own anyway."""
        is_app = bool(os.environ.get("FIFTYONE_SERVER"))
        can_schedule = not is_app or fo.config.allow_legacy_orchestrators
        return foo.ExecutionOptions(
            allow_immediate_execution=True,
            allow_delegated_execution=self.is_long and can_schedule,
        )

    def _call(self, ctx) -> str | None:
        """The call that a job is to make; None if the values of the form are meant."""
        if "call" not in ctx.params:
            return None
        # What the request says of itself, "delegated" among it, is not proof.
        id = getattr(ctx, "_delegated_operation_id", None)
        return queue.call_of(id, self.uri, ctx.params["call"])

    def _check_request(self, ctx) -> None:
        """Refuse what a form cannot be built of: a request can say anything."""
        check_params(self.verb, ctx.params)
        try:
            if ctx.dataset is not None:
                check_view(ctx)
                if self.scope is not None:
                    settle_target(ctx, self.scope)
                shown = ctx.view if self.scope is None else ctx.target_view()
                shown._pipeline()  # a stage looks at its arguments no sooner
                return
        except UNREADABLE as error:
            raise ValueError(
                "The dataset, view, filters or selection of this request cannot be read. Reload "
                "the App, and choose them again"
            ) from error
        if self.needs_dataset:
            raise ValueError(f"{self.label} works on a dataset. Open one first")

    def given(self, ctx) -> dict:
        """The verb's arguments by name, from parameters that are checked."""
        self._call(ctx)  # refuses one that is not a job's
        self._check_request(ctx)
        try:
            return self.arguments(ctx)
        except KeyError as error:
            raise ValueError(f"{self.label} needs the parameter {error.args[0]!r}") from error

    def form(self, ctx, inputs: types.Object) -> None:
        """Add the fields of the form."""
        raise NotImplementedError

    def arguments(self, ctx) -> dict:
        """The verb's arguments by name, from what was filled in."""
        raise NotImplementedError

    def outcome(self, result, given: dict) -> dict:
        """What the App shows of a result of given arguments; see `..showing`."""
        raise NotImplementedError

    def job_label(self, given: dict) -> str:
        """What a job does, in words."""
        return self.label

    def resolve_run_name(self, ctx) -> str:
        """What an orchestrator calls it."""
        return self.job_label(self.given(ctx))

    def takes_long(self, given: dict) -> bool:
        """Whether a call of a verb that may be long is to be a job."""
        return True

    def target(self, given: dict) -> str | None:
        """What only one job at a time may work on; None stands for the dataset."""
        return None

    def execute(self, ctx) -> object:
        """Run the verb: as a job if it is long and was pressed in the App, else at once."""
        call = self._call(ctx)
        own = ctx.dataset._doc.id if ctx.dataset is not None else None
        given = self.given(ctx) if call is None else calls.decode(call, own)
        if not self.is_long:
            outcome = self.outcome(self._done(given), given)
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
        """Call the verb; the App shows what it raises in the words of the form."""
        try:
            return self.function(**given)
        except Exception as error:
            words = in_labels(str(error), self.verb)
            if not os.environ.get("FIFTYONE_SERVER") or words == str(error):
                raise
            raise ValueError(words) from error

    def _work(self, ctx, given: dict) -> dict:
        """Do the work of a delegated operation; the process may be a worker's or another's."""
        with Reporter(ctx.request_params["run_doc"]) as reporter:
            reporter.tell("Starting")  # PyTorch takes seconds to load
            basis = {RESTS_ON: all_labels(given["samples"])} if self.rests_on_labels else {}
            result = self.function(**given, progress=reporter)
            outcome = self.outcome(result, with_defaults(self.function, given))
            reporter.tell(outcome["summary"], 1.0)
        return outcome | basis

    def _queue(self, ctx, given: dict) -> Iterator:
        """Queue a job, and open the panel that shows it."""
        # At once: the App shows what it raises.
        job = queue.submit(self.verb, given, ctx.dataset, filled_in(ctx))
        return show_job(ctx, job.id) if ctx.dataset is not None else self._follow(ctx, job)

    def _follow(self, ctx, job: Job) -> Iterator:
        """Let the form close, and the App say how far a job is that no panel shows yet."""
        yield ctx.trigger(FOLLOW, params={"job": job.id})

    def _work_shortly(self, ctx, given: dict) -> Iterator:
        """Call a verb that takes long with other arguments; the form closes by itself."""
        outcome = self.outcome(self._done(given), given)
        yield ctx.ops.notify(outcome["summary"], variant="success")
        yield from show(ctx, outcome)

    def _work_at_once(self, ctx, given: dict) -> Iterator:
        """Call the verb in the foreground, from Python."""
        yield ctx.ops.set_progress(label=f"{self.label} ...", progress=0)
        try:
            result = self.function(**given)
        except Exception as error:  # after the first message the App would show none
            yield ctx.ops.notify(str(error), variant="error")
            raise
        outcome = self.outcome(result, with_defaults(self.function, given))
        yield ctx.ops.notify(outcome["summary"], variant="success")
        yield from show(ctx, outcome)


def filled_in(ctx) -> dict:
    """The values of a form, by name; FiftyOne keeps the choice of samples beside the others."""
    target = ctx.request_params.get("view_target")
    return dict(ctx.params) if target is None else {**ctx.params, "view_target": target}


def _words(error: Exception) -> str:
    """What is shown of an error: of one that code has not foreseen, what it is too."""
    words = " ".join(str(error).split())
    if isinstance(error, OperationFailure):  # of a stage or filter that is none of the database's
        said = (error.details or {}).get("errmsg") or words
        return f"The database cannot read the view or the filters of this request: {said}"
    if isinstance(error, AttributeError | LookupError | TypeError | RecursionError):
        return f"The values of this request make no sense ({type(error).__name__}: {words})"
    return words or type(error).__name__


def with_defaults(function: Callable, given: dict) -> dict:
    """Arguments by name, with the defaults of those that were not given."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty} | given
