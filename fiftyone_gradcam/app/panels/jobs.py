"""The jobs in the tab "Steps": their progress, and buttons to cancel or resume them."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from fiftyone.operators import types
from fiftyone.operators.constants import ViewTarget

from ...dataset.fields import OWNER
from ...dataset.live import LiveTraining
from ...dataset.run_keys import free_key, next_key
from ...dataset.runs import list_runs, load_run
from ...jobs.calls import unpack_ids
from ...jobs.job import ENDED, Job, cancel_job, load_job
from ...jobs.queue import forget_job, given_samples, list_jobs, repeat_job
from ..operators.labels import in_labels
from ..showing import PLACE
from ..texts import duration, markdown, media
from .choices import row_of
from .compared import draw_compared, result_of
from .plots import curves_plot, draw_plot
from .resuming import resume_options, resumes_next
from .samples import show_mistakes, show_runs

OLD = "Out of date: labels have changed since"
REPEATED = ("compare_runs", "evaluate")  # verbs that can be repeated with the current labels
COMPARED = ("headline", "verdict", "rows", "notes")  # what a card shows of a comparison
SEVERITIES = {"error": types.Error, "warning": types.Warning}
# A card is as wide as the panel, and the percentage beside a progress bar stays on one line.
CARD = {
    "grid": {
        "sx": {
            "gridTemplateColumns": "minmax(0, 1fr)",
            "& *:has(> .MuiLinearProgress-root) + p": {"whiteSpace": "nowrap"},
        }
    }
}
REPLACING = ("predict", "find_anomalies")  # verbs that replace files of heatmaps
RECENT_SECONDS = 60.0  # between asking for samples and for their heatmaps, on a slow machine


class JobsTab:
    """The list of jobs: it reads and draws them, and handles their events."""

    def read_jobs(self, ctx) -> list[Job]:
        """Store the jobs in the panel's state, and return those that have ended since last time."""
        jobs = list_jobs(ctx.dataset)
        # A job that was started here may have ended before it was seen running.
        was_going = {*(ctx.panel.state.going or ()), ctx.panel.state.own}
        going = [job.id for job in jobs if not job.has_ended]
        ended = [job for job in jobs if job.id in was_going and job.has_ended]
        ctx.panel.state.going, ctx.panel.state.is_busy = going, bool(going)
        # The running jobs, the last one that has ended, and the last comparison of two runs.
        last = next((job for job in jobs if job.has_ended), None)
        compared = next((job for job in jobs if job.outcome.get("comparison")), None)
        running = sorted((job for job in jobs if not job.has_ended), key=lambda job: job.began)
        shown = running + [job for job in jobs if job.has_ended and job in (last, compared)]
        cards = [self._card(ctx, job) for job in shown]
        for card in cards:
            if card["state"] == "queued" and card["id"] != shown[0].id:
                card["message"] = f"Waits for: {shown[0].label}"
        ctx.panel.state.cards = cards
        ids = {job.id for job in shown}
        ctx.panel.state.earlier = [_row(job) for job in jobs if job.id not in ids]
        trained = next((job for job in shown if job.verb == "fine_tune"), None)
        self._read_training(ctx, trained)
        self._read_picture(ctx, shown)
        return ended

    def await_recent(self, ctx) -> None:
        """Treat jobs that replaced heatmaps a moment ago as if they ended now.

        The page may have asked for samples before and for their heatmaps after: these files do not
        exist anymore, so the samples are loaded again.
        """
        state, now = ctx.panel.state, datetime.now(UTC).replace(tzinfo=None)
        recent = [
            job.id
            for job in list_jobs(ctx.dataset)
            if job.verb in REPLACING
            and job.ended is not None
            and (now - job.ended).total_seconds() < RECENT_SECONDS
        ]
        if recent:
            state.going, state.is_busy = [*(state.going or ()), *recent], True

    def _card(self, ctx, job: Job) -> dict:
        words = f"**{markdown(job.label)}** · {job.state_word}"
        if job.seconds_left is not None:
            words += f" · about {duration(job.seconds_left)} left"
        elif job.seconds is not None and job.has_ended:
            words += f" after {duration(job.seconds)}"
        card = {"id": job.id, "words": words, "state": job.state, "progress": job.progress}
        left = job.seconds_left
        card["left"] = None if left is None else duration(left)
        card |= {"message": in_labels(job.message, job.verb), "verb": job.verb, "log": job.log}
        if found := job.outcome.get("comparison"):
            card["compared"] = {name: found[name] for name in COMPARED}
            gone = [key for key in found.get("runs", ()) if key not in list_runs(ctx.dataset)]
            card["gone"] = " and ".join(map(repr, gone))
        card["file"], card["mistakes"] = _file_in(job), job.outcome.get("mistakes")
        came_to_nothing = job.state in ("cancelled", "failed", "lost") and job.can_repeat
        card["again"] = card["change"] = None
        if came_to_nothing:
            card["again"] = "Run again" if resume_options(ctx.dataset, job) is None else "Resume"
            card["change"] = job.form is not None
            card["key"] = job.given.get("key", job.given.get("run"))
        return card

    def _read_training(self, ctx, job: Job | None) -> None:
        key = job.given.get("key") if job is not None else None
        ctx.panel.state.training = ctx.panel.state.findings = ctx.panel.state.trained_job = None
        if key is None:
            return
        rows, best, findings = LiveTraining(ctx.dataset, key).read(), None, []
        if rows is None and job.has_ended and key in list_runs(ctx.dataset):
            run = load_run(ctx.dataset, key)
            rows = {"history": run.history, "validations": run.validations}
            best, findings = run.best_epoch, run.findings
        if rows is None or not (rows["history"] or rows.get("running")):
            return
        ctx.panel.state.training, ctx.panel.state.findings = curves_plot(rows, best), findings
        ctx.panel.state.trained_job = job.id

    def _read_picture(self, ctx, shown: list[Job]) -> None:
        pictures = [(job.id, job.outcome.get("picture")) for job in shown]
        found = next(((i, x) for i, x in pictures if x and Path(x).exists()), (None, None))
        ctx.panel.state.pictured_job, ctx.panel.state.picture_path = found

    def draw_jobs(self, ctx, panel: types.Object) -> None:
        """Draw the running jobs, and the last one that has ended."""
        state = ctx.panel.state
        for card in state.cards or ():
            remark = (state.remarks or {}).get(card["id"])
            is_old, is_next = card["id"] in (state.old_jobs or ()), resumes_next(state, card)
            self._draw_card(panel, card, is_old, remark, is_next)
            if card["id"] == state.trained_job and state.training:
                self._draw_training(ctx, panel)
            if card["id"] == state.pictured_job and state.picture_path:
                view = types.ImageView(width="100%", alt="The picture of the job")
                panel.str("picture", default=media(state.picture_path), view=view)
                panel.md(f"The picture is at {markdown(state.picture_path)}", name="picture_words")

    def _draw_training(self, ctx, panel: types.Object) -> None:
        draw_plot(panel, "curves", ctx.panel.state.training)
        for number, finding in enumerate(ctx.panel.state.findings or ()):
            notice = SEVERITIES.get(finding["severity"], types.Notice)
            panel.view(f"finding_{number}", notice(label=markdown(finding["message"])))

    def draw_earlier(self, ctx, panel: types.Object) -> None:
        """Draw the rows of earlier jobs."""
        state = ctx.panel.state
        if state.earlier:
            # Not a table, whose columns overflow a narrow panel and whose cells do not wrap.
            old = {name: f" *{words}*" for name, words in (state.remarks or {}).items()}
            old |= dict.fromkeys(state.old_jobs or (), f" *{OLD}*")
            rows = [
                f"- {markdown(x['job'])}: {markdown(x['message'])}{_link_to(x['file'], ' · ')}"
                f"{' ·' if x['id'] in old else ''}{old.get(x['id'], '')}"
                for x in state.earlier
            ]
            panel.md("\n".join(["**Earlier jobs**", "", *rows]), name="earlier_jobs")

    def _draw_card(
        self,
        panel: types.Object,
        card: dict,
        is_old: bool,
        remark: str | None,
        is_next: bool,
    ) -> None:
        box = panel.v_stack(f"job_{card['id']}", gap=1, componentsProps=CARD)
        box.md(card["words"], name="words")
        if card["state"] in ("running", "cancelling"):
            bar = types.ProgressView(label=card["message"])
            box.float("progress", default=card["progress"], view=bar)
        elif card["state"] in ("failed", "lost"):
            box.view("error", types.Error(label=markdown(card["message"])))
            if card["state"] == "lost" and card["log"]:
                box.md(f"What it printed is in {markdown(card['log'])}", name="log")
        elif card.get("compared"):
            draw_compared(box, card["compared"], self.on_show_compared, card["id"])
            if card["gone"]:
                words = f"{card['gone']}: renamed or deleted since"
                box.view("gone", types.Notice(label=markdown(words)))
        elif card["message"]:
            box.md(markdown(card["message"]), name="message")
        if card.get("file"):
            box.md(_link_to(card["file"]), name="file")
        if remark:
            box.md(f"*{remark}*", name="remark")
        if is_old:
            again = "; 'Run again' uses the current ones" if card["verb"] in REPEATED else ""
            box.view("old", types.Warning(label=f"{OLD}{again}"))
        self._draw_buttons(row_of(box, "buttons"), card, is_old, is_next)

    def _draw_buttons(self, buttons: types.Object, card: dict, is_old: bool, is_next: bool) -> None:
        given = {"job": card["id"]}
        if card["state"] in ("queued", "running"):
            buttons.btn("cancel", label="Cancel", on_click=self.on_cancel, params=given)
        # The next step above is the primary button. A failed job would mostly fail again with the
        # same arguments.
        if card["change"]:
            buttons.btn(
                "change",
                label="Change and run again",
                on_click=self.on_change_job,
                params=given,
                variant="outlined",
            )
        if card["again"] and not is_next:
            buttons.btn(
                "again",
                label=card["again"],
                on_click=self.on_again,
                params=given,
                variant="outlined",
            )
        if is_old and card["verb"] in REPEATED:
            buttons.btn("repeat", label="Run again", on_click=self.on_again, params=given)
        if field := card.get("mistakes"):  # without their number, which changes with labels
            buttons.btn(
                "mistakes",
                label="Show mistakes",
                on_click=self.on_mistakes,
                params={"field": field},
                variant="outlined",
            )
        if card.get("compared"):
            buttons.btn(
                "all", label="Show all images", on_click=self.on_show_all, variant="outlined"
            )
        if card["state"] in ENDED:
            buttons.btn(
                "forget",
                label="Hide this job (images, labels and results stay)",
                on_click=self.on_forget,
                params=given,
                variant="outlined",
            )

    def on_show_compared(self, ctx) -> None:
        """Show the samples of one result of a comparison, with the predictions of both runs."""
        found, result = load_job(ctx.params["event"]).outcome["comparison"], result_of(ctx)
        if result is None:
            return
        view = ctx.dataset.select(unpack_ids(found["ids"][result]))
        show_runs(ctx, view, found["label_field"], found["runs"])

    def on_mistakes(self, ctx) -> None:
        """Show the samples whose prediction differs from their label."""
        show_mistakes(ctx, ctx.params["field"])

    def on_cancel(self, ctx) -> None:
        """Cancel a job."""
        cancel_job(ctx.params["job"])
        self.read(ctx)

    def on_again(self, ctx) -> None:
        """Resume a training, or call a verb again."""
        self._resume(ctx, load_job(ctx.params["job"]))

    def _resume(self, ctx, old: Job) -> None:
        """Call the verb of an ended job again, with what it has done so far if that is possible."""
        job = repeat_job(old.id, **(resume_options(ctx.dataset, old) or {}))
        forget_job(old.id)
        ctx.panel.state.own = job.id
        self.read(ctx)

    def on_change_job(self, ctx) -> None:
        """Open the form of a job with its values, and show the view or samples that it used.

        Samples that were selected are shown as a view, because the selection may have changed.
        """
        job = load_job(ctx.params["job"])
        form = dict(job.form or {})
        if form.get("view_target") in (ViewTarget.CURRENT_VIEW, ViewTarget.SELECTED_SAMPLES):
            view = given_samples(job.id).view()
            if view._serialize() != ctx.view._serialize():
                ctx.ops.set_view(view)
            form["view_target"] = ViewTarget.CURRENT_VIEW
        key = form.get("key")  # a run may have it by now, or what is kept of this training
        if job.verb == "fine_tune" and key and key != free_key(ctx.dataset, key):
            form["key"] = next_key(ctx.dataset, key)
        ctx.prompt(f"{OWNER}/{job.verb}", params=form)

    def on_forget(self, ctx) -> None:
        """Remove a job from the list."""
        forget_job(ctx.params["job"])
        self.read(ctx)


def _file_in(job: Job) -> str | None:
    """Return the path of the file that a job has written; None for folders, or if it is gone."""
    place = job.outcome.get(PLACE)
    return place if isinstance(place, str) and os.path.isfile(place) else None


def _link_to(path: str | None, before: str = "") -> str:
    """Return a link to a file in Markdown, with a text before it; "" without a file."""
    return f"{before}[Open {markdown(os.path.basename(path))}]({media(path)})" if path else ""


def _row(job: Job) -> dict[str, str]:
    age = (datetime.now(UTC).replace(tzinfo=None) - job.began).days
    began = f"{job.began:%H:%M}" if age < 1 else f"{job.began:%d %b %H:%M}"
    words = f"{job.label} · {job.state_word} · {began} UTC"
    message = in_labels(job.message, job.verb)
    return {"id": job.id, "job": words, "message": message, "file": _file_in(job)}
