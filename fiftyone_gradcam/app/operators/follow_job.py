"""Show the progress of a job that no panel shows, and then its outcome."""

from __future__ import annotations

import time
from collections.abc import Iterator

import fiftyone.operators as foo

from ...jobs.job import load_job
from ..showing import show, show_panel
from .labels import in_labels

LOOK_SECONDS, SAY_SECONDS = 0.5, 4.0


class FollowJob(foo.Operator):
    """Show the progress of an import where no panel can.

    The App has no place for panels while no dataset is open, and closes all panels when it opens
    another dataset. The form of the import closes before this starts, because a form stays open if
    the App opens another dataset meanwhile. FiftyOne's own progress window is not used, because it
    has a button "Done" from the start.
    """

    name = "follow_job"

    @property
    def config(self) -> foo.OperatorConfig:
        """Return the configuration of an unlisted operator."""
        return foo.OperatorConfig(
            name=self.name, label=self.name, unlisted=True, execute_as_generator=True
        )

    def execute(self, ctx) -> Iterator:
        """Yield messages for the App; the job continues if nobody follows it any more."""
        try:
            job = load_job(str(ctx.params.get("job")))
        except ValueError as error:
            yield ctx.ops.notify(str(error), variant="error")
            return
        said, is_news = -SAY_SECONDS, not job.has_ended
        while not job.has_ended:
            if time.monotonic() - said >= SAY_SECONDS:
                said = time.monotonic()
                words = f"{job.label}: {job.progress:.0%} {job.message}".strip()
                yield ctx.ops.notify(words, variant="info")
            time.sleep(LOOK_SECONDS)
            job.refresh()
        is_well = job.state == "completed"
        if is_news:
            message = in_labels(job.message, job.verb)
            yield ctx.ops.notify(message, variant="success" if is_well else "error")
        if is_well:
            yield from show(ctx, job.outcome)
            if "dataset" in job.outcome:
                yield from show_panel(ctx, job.outcome["dataset"])
