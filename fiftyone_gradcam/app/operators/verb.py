"""What all operators share: how a verb becomes a button, a form, and a bar that moves."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from importlib import import_module

import fiftyone.operators as foo
from fiftyone.operators import types

POLL_SECONDS = 0.25


class Verb(foo.Operator):
    """A verb of the package as an operator of the same name.

    Subclasses say what it is called, which fields its form has, and what the App does with the
    result; the work itself is the verb's. Calling an operator calls the verb, so that
    `foo.get_operator("@gradcam/classifier/predict")(dataset, run="key")` is `predict(...)`.
    """

    verb = ""
    label = ""
    icon = ""
    description = ""
    is_long = True

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
        )

    def __call__(self, *args, **kwargs):
        """Call the verb: same arguments, same result, same errors."""
        return self.function(*args, **kwargs)

    @property
    def function(self) -> Callable:
        """The verb."""
        return getattr(import_module(__name__.rsplit(".", 3)[0]), self.verb)

    def resolve_placement(self, ctx) -> types.Placement:
        """Put a button above the grid of samples."""
        return types.Placement(
            types.Places.SAMPLES_GRID_SECONDARY_ACTIONS,
            types.Button(label=self.label, icon=self.icon, prompt=True),
        )

    def resolve_input(self, ctx) -> types.Property:
        """Build the form; what cannot work is said while the form is filled in."""
        inputs = types.Object()
        self.form(ctx, inputs)
        return types.Property(inputs, view=types.View(label=self.label))

    def form(self, ctx, inputs: types.Object) -> None:
        """Add the fields of the form."""
        raise NotImplementedError

    def arguments(self, ctx) -> tuple[tuple, dict]:
        """The verb's arguments, from what was filled in."""
        raise NotImplementedError

    def summary(self, result) -> str:
        """The result in a sentence."""
        raise NotImplementedError

    def show(self, ctx, result) -> Iterator:
        """Messages that make the App show the result."""
        yield ctx.ops.reload_dataset()

    def execute(self, ctx):
        """Run the verb; long ones as a generator that moves a progress bar."""
        args, kwargs = self.arguments(ctx)
        if not self.is_long:
            for _ in self.show(ctx, self.function(*args, **kwargs)):
                pass
            return None
        if ctx.delegated:
            self.function(*args, **kwargs, progress=_reporter(ctx.set_progress))
            return None
        return self._execute_live(ctx, args, kwargs)

    def _execute_live(self, ctx, args: tuple, kwargs: dict) -> Iterator:
        """Work in a thread, and tell the browser how far it is."""
        messages: queue.SimpleQueue = queue.SimpleQueue()
        outcome: dict = {}

        def work() -> None:
            try:
                outcome["result"] = self.function(
                    *args, **kwargs, progress=lambda *report: messages.put(report)
                )
            except BaseException as error:
                outcome["error"] = error

        thread = threading.Thread(target=work, name=f"gradcam-{self.verb}", daemon=True)
        thread.start()
        yield ctx.ops.set_progress(label=f"{self.label} ...", progress=0)
        while thread.is_alive():
            thread.join(POLL_SECONDS)
            report = None
            while not messages.empty():
                report = messages.get()
            if report is not None:
                done, total, message = report
                yield ctx.ops.set_progress(label=message, progress=done / max(total, 1))
        if "error" in outcome:
            # An error after the first message would reach the browser as a finished bar only.
            yield ctx.ops.set_progress(label=str(outcome["error"]), progress=0)
            yield ctx.ops.notify(str(outcome["error"]), variant="error")
            raise outcome["error"]
        yield from self.show(ctx, outcome["result"])
        summary = self.summary(outcome["result"])
        yield ctx.ops.set_progress(label=summary, progress=1)
        yield ctx.ops.notify(summary, variant="success")


def _reporter(set_progress: Callable, seconds: float = 1.0) -> Callable[[int, int, str], None]:
    """Report to the operation's document, at most once a second: each report is a write."""
    last = 0.0

    def report(done: int, total: int, message: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= seconds or done >= total:
            last = now
            set_progress(progress=done / max(total, 1), label=message)

    return report
