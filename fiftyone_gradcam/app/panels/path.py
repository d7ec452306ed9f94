"""The steps in the tab "Steps": which are done, what to do next, and what is out of date."""

from __future__ import annotations

import time
from collections.abc import Collection

import fiftyone as fo
from fiftyone.operators import types

from ...dataset.basis import all_labels
from ...dataset.fields import OWNER
from ...dataset.freshness import SCORES, SPLIT_CHANGED, Stale, stale_values
from ...dataset.label_scores import refresh_label_scores
from ...dataset.overview import Overview, overview
from ...dataset.review_state import default_label_field
from ...dataset.run_keys import free_key
from ...dataset.since_judged import estimated_before
from ...jobs import queue
from ...jobs.measure import is_measuring
from ...model.cached_weights import default_backbone
from ..operators.predicted_fields import fields_beside
from ..showing import RESTS_ON
from ..texts import markdown
from .actions import LABELS, draw_actions
from .choices import row_of
from .estimates import estimate, with_quick
from .next_step import FORM, MOST_NEXT, RESUME, REVIEW, SHOW, START, Next, next_steps, steps
from .resuming import ended_job, interrupted_training, is_partly_predicted
from .samples import show_mistakes
from .step_list import draw_meanwhile, draw_next, running_steps, step_line

WAIT_SECONDS = 60.0  # at most, until a measurement starts: a form may use another network
ALL_DONE = "**All steps are done.** What you can still do:"
MOST_STALE = 6  # maximum number of lines; more would hide what is below


class PathTab:
    """The list of steps: it reads and draws them, and handles their events."""

    def read_steps(self, ctx) -> None:
        """Store the steps and suggestions in the panel's state."""
        state, dataset = ctx.panel.state, ctx.dataset
        found = overview(dataset)
        finished = finished_verbs(dataset, state.old_jobs or ())
        options = next_of(dataset, found, finished)
        shown = steps(found, finished if found.labeled else ())
        state.steps = [[one.name, one.done, one.fact] for one in shown]
        state.next = [one.to_dict() for one in options]
        state.mark, state.stale_due = mark_of(dataset), True
        is_timed = any(one.how == START for one in options[:MOST_NEXT])
        state.times_due, state.times_waits = time.time() + WAIT_SECONDS if is_timed else None, None

    def read_stale(self, ctx) -> None:
        """Find stale values; the steps are shown before, because this may take a moment."""
        state = ctx.panel.state
        state.stale_due = None
        state.stale = [
            {"kind": one.kind, "name": one.name, "words": str(one), "can": one.verb is not None}
            for one in _once(stale_values(ctx.dataset))
            if not _is_next(one, (state.next or [])[:MOST_NEXT])
        ]
        jobs = [x for x in queue.list_jobs(ctx.dataset) if x.outcome.get(RESTS_ON)]
        now = all_labels(ctx.dataset) if jobs else None
        state.remarks = remarks_on(ctx.dataset)
        before = state.old_jobs or []
        state.old_jobs = [job.id for job in jobs if job.outcome[RESTS_ON] != now]
        if state.old_jobs != before:
            self.read_steps(ctx)  # what is out of date is to be done again

    def read_times(self, ctx) -> None:
        """Estimate how long the suggestions take; a measurement may start in the background."""
        state = ctx.panel.state
        if state.times_waits and is_measuring():
            return  # a busy machine may need longer than `WAIT_SECONDS`
        finished = finished_verbs(ctx.dataset, state.old_jobs or ())
        options = next_of(ctx.dataset, overview(ctx.dataset), finished)
        times, is_waiting = {}, False
        for one in with_quick(options[:MOST_NEXT]):
            found = estimate(ctx.dataset, one, measures=not is_waiting)
            if found is not None:
                times[one.label] = {
                    "words": str(found),
                    "seconds": found.time and found.time.seconds,
                    "is_long": found.is_long,
                }
                is_waiting = is_waiting or found.time is None
        if times != state.times:  # or the panel would be drawn at each look
            state.times = times
        is_over = time.time() > state.times_due and not is_measuring()
        if not is_waiting or is_over:
            state.times_due = state.times_waits = None
        elif not state.times_waits:
            state.times_waits = True

    def draw_steps(self, ctx, panel: types.Object) -> None:
        """Draw the steps, and the button for the next one."""
        state = ctx.panel.state
        running = running_steps(state.cards or ())
        now = next(iter(running), state.next[0]["step"] if state.next else None)
        if "Train" in running:  # what is said of an earlier training is true no longer
            running.setdefault("Retrain", "")
        lines = [
            step_line(
                name, done, running.get(name, fact), name == now and (name in running or not done)
            )
            for name, done, fact in state.steps
        ]
        offers_next = state.next and not state.is_busy
        if offers_next and state.steps and all(done for _, done, _ in state.steps):
            lines.append(ALL_DONE)
        panel.md("  \n".join(lines), name="step_list")
        if offers_next:
            is_timing = bool(state.times_due)
            draw_next(panel, state.next[:MOST_NEXT], state.times or {}, self.on_next, is_timing)
        elif state.going:
            draw_meanwhile(panel, state.next, self.on_next)

    def draw_stale(self, ctx, panel: types.Object) -> None:
        """Draw stale values, with buttons that refresh them."""
        state = ctx.panel.state
        found = [] if state.is_busy else state.stale or []
        if not found:
            return
        for place, one in enumerate(found[:MOST_STALE]):
            row = row_of(panel, f"stale_{place}")
            row.md(f"⚠ Out of date: {markdown(_lowered(one['words']))}", name="words")
            if one["can"]:
                row.btn(
                    "refresh",
                    label="Train again" if one["kind"] == "run" else f"Refresh {one['kind']}",
                    on_click=self.on_refresh_stale,
                    params={"kind": one["kind"], "name": one["name"]},
                    variant="outlined",
                )
        if len(found) > MOST_STALE:
            panel.md(f"And {len(found) - MOST_STALE} more out of date", name="more_stale")

    def draw_all_actions(self, ctx, panel: types.Object) -> None:
        """Draw the button that shows all actions, and the actions if it was clicked."""
        shown = bool(ctx.panel.state.shows_actions)
        label = "Hide all actions" if shown else "All actions"
        panel.btn("all_actions", label=label, on_click=self.on_all_actions, variant="outlined")
        if shown:
            draw_actions(panel, self.on_action)

    def on_all_actions(self, ctx) -> None:
        """Show or hide the buttons of all actions."""
        ctx.panel.state.shows_actions = not ctx.panel.state.shows_actions

    def on_action(self, ctx) -> None:
        """Open a form."""
        if (verb := ctx.params.get("verb")) in LABELS:
            ctx.prompt(f"{OWNER}/{verb}")

    def on_next(self, ctx) -> None:
        """Execute a suggestion, unless it is no longer valid."""
        label = ctx.params.get("label")
        # As they were shown, or a button might be none of them.
        finished = finished_verbs(ctx.dataset, ctx.panel.state.old_jobs or ())
        options = with_quick(next_of(ctx.dataset, overview(ctx.dataset), finished))
        chosen = next((one for one in options if one.label == label), None)
        if chosen is None:
            self.read(ctx)
        elif chosen.how == REVIEW:
            self.turn_to(ctx, "review")
        elif chosen.how == SHOW:
            show_mistakes(ctx, chosen.given["prediction_field"])
        elif chosen.how == FORM:
            ctx.prompt(f"{OWNER}/{chosen.verb}")
        elif chosen.how == RESUME and (job := ended_job(ctx.dataset, chosen.verb, _own(chosen))):
            self._resume(ctx, job)
        else:
            # The form has another field for weights.
            form = {name: value for name, value in chosen.given.items() if name != "weights"}
            found = (ctx.panel.state.times or {}).get(label) or {}
            self._start(ctx, chosen.verb, chosen.given, form, found.get("seconds"))

    def on_refresh_stale(self, ctx) -> None:
        """Refresh stale values."""
        asked = (ctx.params.get("kind"), ctx.params.get("name"))
        found = next((x for x in stale_values(ctx.dataset) if (x.kind, x.name) == asked), None)
        if found is None or found.verb is None:
            self.read(ctx)
        elif found.verb == SCORES:
            count = refresh_label_scores(ctx.dataset, found.name)
            ctx.ops.notify(f"{count} label scores of {found.name!r} are up to date", "success")
            ctx.ops.reload_dataset()
            self.read(ctx)
        else:
            self._start(ctx, found.verb, found.given)

    def _start(
        self,
        ctx,
        verb: str,
        given: dict,
        form: dict | None = None,
        seconds: float | None = None,
    ) -> None:
        """Call a verb on the whole dataset, as a job of this panel that is expected to take some
        seconds, unless an earlier click did so, and it has not ended."""
        for job in queue.list_jobs(ctx.dataset):
            if job.verb == verb and not job.has_ended and given.items() <= job.given.items():
                self.turn_to(ctx, "jobs")
                return
        try:
            own = {"samples": ctx.dataset, **given}
            job = queue.submit(verb, own, ctx.dataset, form, seconds)
        except (ValueError, OSError) as error:
            ctx.ops.notify(str(error), variant="error")
            return
        ctx.panel.state.own = job.id
        self.turn_to(ctx, "jobs")


def next_of(dataset: fo.Dataset, found: Overview, finished: Collection[str]) -> list[Next]:
    """Return suggestions of what to do next, using the default backbone of the forms.

    Args:
        dataset: the dataset
        found: its overview
        finished: see `finished_verbs`
    """
    backbone = default_backbone()
    key = free_key(dataset, backbone)
    interrupted = interrupted_training(dataset, found)
    run = found.newest_run
    is_partly = is_partly_predicted(dataset, run)
    beside = fields_beside(dataset, run) if run else {}
    return next_steps(found, key, backbone, interrupted, finished, is_partly, beside)


def _own(one: Next) -> dict:
    """Return the arguments that tell the job to resume from others of its verb."""
    return {name: value for name, value in one.given.items() if name in ("key", "run")}


def finished_verbs(dataset: fo.Dataset, old: Collection[str] = ()) -> set[str]:
    """Return the verbs of the jobs that were completed, without some that are out of date.

    Args:
        dataset: the dataset
        old: the ids of jobs that do not count
    """
    jobs = queue.list_jobs(dataset)
    return {job.verb for job in jobs if job.state == "completed" and job.id not in old}


def remarks_on(dataset: fo.Dataset) -> dict[str, str]:
    """Return remarks on jobs by id: which estimates of wrong labels are no longer true, and why."""
    jobs = [
        job
        for job in queue.list_jobs(dataset)
        if job.verb == "find_label_issues" and job.state == "completed"
    ]
    if not jobs:
        return {}
    field, words = estimated_before(dataset) or (None, "")
    found, default, seen = {}, default_label_field(dataset), set()
    for job in jobs:  # the newest first
        own = job.given.get("label_field") or default
        if own in seen:
            found[job.id] = "The labels were checked again later."
        elif own == field:
            found[job.id] = f"This was estimated before {words}."
        seen.add(own)
    return found


def mark_of(dataset: fo.Dataset) -> list:
    """Return a value that changes when the dataset changes, and is fast to compute."""
    samples = dataset._sample_collection
    mark = [samples.estimated_document_count(), sorted(dataset._doc.runs)]
    if "last_modified_at" in dataset.list_indexes():
        last = samples.find_one({}, ["last_modified_at"], sort=[("last_modified_at", -1)])
        mark.append(str((last or {}).get("last_modified_at")))
    return mark


def _is_next(one: Stale, options: list[dict]) -> bool:
    """Return whether one of the suggestions refreshes a stale value, and says why."""
    wanted = {"run": "retrain", "predictions": "predict"}.get(one.kind)
    return one.why != SPLIT_CHANGED and any(
        wanted == one.verb == x["verb"] and one.given.get("run") == x["given"].get("run")
        for x in options
    )


def _lowered(words: str) -> str:
    return words[0].lower() + words[1:]


def _once(found: list[Stale]) -> list[Stale]:
    """Return the stale values, with only one for each call that refreshes them."""
    calls: dict[str, Stale] = {}
    for one in found:
        call = f"{one.verb} {one.given}" if one.verb else f"{one.kind} {one.name}"
        calls.setdefault(call, one)
    return list(calls.values())
