"""The panel: its tabs, and its responses to opening, timer ticks and changes of the dataset."""

from __future__ import annotations

import time
from collections import deque
from copy import deepcopy

import fiftyone.operators as foo
from fiftyone.operators import types

from ...dataset.overview import Overview
from ...jobs.job import Job
from ..operators.labels import in_labels
from ..operators.predicted_fields import DEFAULTS
from ..operators.verb import SHOW_IMPORT
from ..showing import show, turn_panel
from . import server_state
from .choices import OF_WHAT_IS_SHOWN, says_nothing_new, stand_at
from .evaluate import EvaluateTab
from .heatmaps import PAINT_SECONDS, HeatmapsRow
from .jobs import JobsTab
from .next_step import next_steps, steps
from .once import Once
from .patches import catch_up, keep_answer, merge_patches, sets_state
from .path import PathTab, mark_of
from .plots import load_ahead
from .review import ReviewTab
from .runs import RunsTab
from .scores import ScoresTab
from .turns import Turns

# Values of the state that belong to one dataset.
OF_A_DATASET = (
    *("shown_run", "own", "prediction_field", "part", "colored", "colored_at", "card", "turning"),
    *(
        "repainting",
        "heatmaps",
        "scored",
        "scored_class",
        "threshold",
        "search",
        "bar_search",
        "other",
    ),
    *("turns_to", "steps", "next", "mark", "stale", "stale_due", "old_jobs", "shows_actions"),
    *("times", "times_due", "times_waits", "newest_run_at", "can_resume_run", "is_before_review"),
)
ROWS = ("choices", "finding", "bar_choices")  # values of lists and inputs in rows
TABS = {
    "jobs": "Steps",
    "review": "Review",
    "runs": "Runs",
    "evaluate": "Evaluate",
    "scores": "Scores",
}
PLOT_SIZES = "GradcamPlotSizes"  # see `plots.js`
READ = ("on_load", "on_change_dataset")  # events that read all values anyway
TICK_MILLISECONDS = 1000
TURNS = 3  # number of ticks at which data is sent to an opening panel, until it accepts it
IDLE_MILLISECONDS = 5000  # between ticks without jobs, because one may be started elsewhere
EVENTS = Turns()
REPORTED = Once()  # ended jobs by page, because overlapping ticks find the same ones
# A long word, such as a path, would widen everything next to and below it.
LONG_WORDS_WRAP = {"grid": {"sx": {"& p, & li, & .MuiAlert-message": {"overflowWrap": "anywhere"}}}}
# All five tabs fit into a panel of 400 pixels, its width in a window of 1,100 pixels.
NARROW_TABS = {"tab": {"sx": {"minHeight": 48, "minWidth": 0, "px": 1.25}}}
VARIANTS = {"completed": "success", "cancelled": "info", "failed": "error", "lost": "error"}


class ClassifierPanel(
    PathTab, JobsTab, ReviewTab, RunsTab, EvaluateTab, ScoresTab, HeatmapsRow, foo.Panel
):
    """The panel with tabs for steps and jobs, review, runs, evaluation and scores.

    Choices are in the panel's state, which is sent in both directions with each event. Everything
    that is drawn from other values is in its output alone; see `server_state`.
    """

    @property
    def config(self) -> foo.PanelConfig:
        """Return the configuration of the panel."""
        return foo.PanelConfig(
            name="classifier",
            label="Grad-CAM classifier",
            icon="model_training",
            surfaces="grid",
            help_markdown="Train classifiers, see where they look, and find wrong labels",
        )

    def execute(self, ctx) -> object:
        """Handle an event, after all earlier ones.

        The panel is redrawn only if its state changes, because this takes long in the browser.
        """
        method, panel_id = ctx.params.get("__method__"), ctx.panel_id
        if panel_id is None or method is None:
            return super().execute(ctx)
        is_tick = method == "on_tick"
        line = (panel_id, "ticks") if is_tick else panel_id  # separate: a tick may take long
        if is_tick and EVENTS.is_taken(line):
            return None  # there will be another tick
        with EVENTS.turn(line):
            if method not in OF_WHAT_IS_SHOWN:
                catch_up(ctx)
            is_known = server_state.load(ctx)
            if says_nothing_new(ctx):
                return None
            before = deepcopy(ctx.panel_state)
            if not is_known and method not in READ:
                self.read(ctx)  # the server was restarted
            ctx.event_args = ctx.params.get("event_args", {})
            result = getattr(self, method)(ctx)
            if is_tick:
                with EVENTS.turn(panel_id):
                    self._send(ctx, before, is_late=True)
            else:
                self._send(ctx, before)
            return result

    def _send(self, ctx, before: dict, is_late: bool = False) -> None:
        """Draw the panel, if its state has changed.

        Args:
            ctx: the context of an event that was handled
            before: the state before it
            is_late: whether other events may have been handled in the meantime
        """
        merge_patches(ctx)
        server_state.drop_unchanged(ctx, before)
        if not sets_state(ctx):
            return
        if is_late:
            catch_up(ctx, own=True)
            server_state.load(ctx, own=True)
        ctx.ops.show_panel_output(self.render(ctx))
        merge_patches(ctx)  # values that were set while drawing
        server_state.keep(ctx)
        keep_answer(ctx)

    def on_load(self, ctx) -> None:
        """Read the dataset."""
        ctx.panel.state.tab = ctx.panel.state.tab or "jobs"
        ctx.panel.state.loaded = ctx.panel.state.loaded_page = time.time()
        self.read(ctx)
        if ctx.dataset is not None:
            self.await_recent(ctx)

    def on_change_dataset(self, ctx) -> None:
        """Read the new dataset."""
        for name in OF_A_DATASET:
            ctx.panel.set_state(name, None)
        for name in ROWS:
            ctx.panel.set_state(name, {})
        ctx.panel.state.loaded = time.time()
        self.read(ctx)

    def on_refresh(self, ctx) -> None:
        """Read the dataset again."""
        self.read(ctx)

    def on_job(self, ctx) -> None:
        """Show a job that was started by a form.

        The panel is scrolled to its top: below, at the list of all actions, where the form may
        have been opened, the user would not see the job. The list stays open for the next one.
        """
        ctx.panel.state.own, ctx.panel.state.top = ctx.params["job"], time.time()
        self.turn_to(ctx, "jobs")

    def turn_to(self, ctx, tab: str) -> None:
        """Switch to a tab, and read what it shows."""
        ctx.panel.state.tab = tab
        # The tab strip keeps the user's choice; a strip with a new name does not.
        ctx.panel.state.strip = (ctx.panel.state.strip or 0) + 1
        self.read(ctx)

    def on_tab(self, ctx) -> None:
        """Handle the user's switch to another tab."""
        ctx.panel.state.tab = ctx.params["value"]
        self.read(ctx)

    def on_tick(self, ctx) -> None:
        """Update the jobs, and show the outcome of one that was started here and has ended."""
        if ctx.dataset is None:
            return
        if ended := self.read_jobs(ctx):
            ctx.dataset.reload()
            self.read_steps(ctx)
            self.read_heatmaps(ctx)
            if ctx.panel.state.tab == "runs":
                self.read_runs(ctx)
            self._show_ended(ctx, ended)
        elif tab := ctx.panel.state.turns_to:
            # What was found is what comes next; the App has its view by now. A card that loads in
            # the same moment as the view may never be drawn.
            ctx.panel.state.turns_to = None
            if ctx.panel.state.times_due:
                self.read_times(ctx)  # so that they are known when the user is back at the steps
            self.turn_to(ctx, tab)
        elif ctx.panel.state.turning:
            self._turn(ctx)
        elif ctx.panel.state.repainting:
            self.repaint(ctx)
        elif self.color(ctx):
            ctx.panel.state.repainting = ctx.panel.state.is_busy = True
        elif ctx.panel.state.stale_due and not ctx.panel.state.is_busy:
            self.read_stale(ctx)
            self.count_ahead(ctx)
        elif not ctx.panel.state.is_busy and mark_of(ctx.dataset) != ctx.panel.state.mark:
            ctx.dataset.reload()  # another process has changed something
            self.read_steps(ctx)
            self.read_heatmaps(ctx)
            if self.color(ctx):
                ctx.panel.state.repainting = ctx.panel.state.is_busy = True
        elif ctx.panel.state.times_due and not ctx.panel.state.is_busy:
            self.read_times(ctx)

    def _show_ended(self, ctx, ended: list[Job]) -> None:
        state = ctx.panel.state
        waits = any(job.state == "completed" for job in ended) and self.color(ctx)
        if ended and (waits or time.time() < (state.colored_at or 0) + PAINT_SECONDS):
            state.going, state.is_busy = [*state.going, *(job.id for job in ended)], True
            return  # until the next tick
        if ended:
            state.loaded = time.time()
        for job in ended:
            if not REPORTED.first((ctx.panel.id, state.loaded_page, job.id)):
                continue
            message = in_labels(job.message, job.verb)
            is_own = job.id == state.own
            if is_own and job.state == "completed" and "dataset" in job.outcome:
                state.own = None
                ctx.trigger(SHOW_IMPORT, params={"job": job.id})  # says what it did, and opens it
                continue
            if state.tab != "jobs" or job.id not in [card["id"] for card in state.cards or ()]:
                # A message over the card of the job would only repeat it, and hide what is there.
                ctx.ops.notify(f"{job.label}: {message}", variant=VARIANTS[job.state])
            if is_own:
                ctx.panel.state.own = None
                if job.state == "completed":
                    deque(show(ctx, job.outcome), maxlen=0)
                    if job.verb == "predict":
                        name = job.given.get("prediction_field", DEFAULTS[0]["prediction_field"])
                        self.choose_predictions(ctx, name)
                    if job.verb == "find_label_issues":
                        state.turns_to, state.is_busy = "review", True
                    if panel := job.outcome.get("panel"):
                        state.turning, state.is_busy = {**panel, "left": TURNS}, True
            elif job.state == "completed":
                ctx.ops.reload_dataset()

    def _turn(self, ctx) -> None:
        """Send its data to a panel that was just opened."""
        panel, state = ctx.panel.state.turning, ctx.panel.state
        left = panel["left"] - 1
        is_done = turn_panel(ctx, panel) and left <= 0
        state.turning = None if is_done or left < -TURNS else {**panel, "left": left}
        state.is_busy = state.is_busy or state.turning is not None

    def read(self, ctx) -> None:
        """Read what the current tab shows."""
        if ctx.dataset is None:
            ctx.panel.state.steps = [[one.name, one.done, one.fact] for one in steps(Overview())]
            ctx.panel.state.next = [one.to_dict() for one in next_steps(Overview())]
            return
        ctx.dataset.reload()
        self.read_steps(ctx)
        self.read_heatmaps(ctx)
        self._show_ended(ctx, self.read_jobs(ctx))
        if ctx.panel.state.tab == "review":
            self.read_review(ctx)
        if ctx.panel.state.tab == "runs":
            self.read_runs(ctx)
        if ctx.panel.state.tab == "evaluate":
            self.read_evaluation(ctx)
        if ctx.panel.state.tab == "scores":
            self.read_scores(ctx)

    def render(self, ctx) -> types.Property:
        """Draw the tab strip and the current tab."""
        panel = types.Object()
        if ctx.dataset is not None and not ctx.panel.state.mark:
            self.read(ctx)  # the panel was opened before a dataset
        if not ctx.panel.state.steps:
            return types.Property(panel, view=types.GridView(gap=2, px=2, py=2))
        if ctx.dataset is None:
            self.draw_steps(ctx, panel)
            return types.Property(panel, view=types.GridView(gap=2, px=2, py=2))
        tabs = types.TabsView(componentsProps=NARROW_TABS)
        for value, label in TABS.items():
            tabs.add_choice(value, label=label)
        tab = ctx.panel.state.tab or "jobs"
        strip = f"tab_{ctx.panel.state.strip or 0}"
        stand_at(ctx, strip, tab)
        panel.enum(strip, tabs.values(), default=tab, view=tabs, on_change=self.on_tab)
        self.draw_heatmaps(ctx, panel)
        draw = {
            "jobs": self.draw_all_steps,
            "review": self.draw_review,
            "runs": self.draw_runs,
            "evaluate": self.draw_evaluation,
            "scores": self.draw_scores,
        }
        draw[tab](ctx, panel)
        # Last, because each part of the panel has room above it.
        sizes = types.View(component=PLOT_SIZES, composite_view=True, top=ctx.panel.state.top)
        panel.define_property("plot_sizes", types.Object(), view=sizes)
        is_busy = ctx.panel.state.is_busy
        if is_busy or tab == "jobs":  # redrawing other tabs would close an open list
            is_soon = is_busy or ctx.panel.state.stale_due or ctx.panel.state.times_due
            interval = TICK_MILLISECONDS if is_soon else IDLE_MILLISECONDS
            timer = types.TimerView(interval=interval, on_interval=self.on_tick)
            panel.view(f"timer_{interval}", timer)
        return types.Property(
            panel, view=types.GridView(gap=2, px=2, py=1, componentsProps=LONG_WORDS_WRAP)
        )

    def draw_all_steps(self, ctx, panel: types.Object) -> None:
        """Draw the tab of steps and jobs."""
        self.draw_steps(ctx, panel)
        self.draw_stale(ctx, panel)
        self.draw_jobs(ctx, panel)
        self.draw_all_actions(ctx, panel)
        self.draw_earlier(ctx, panel)
        state = ctx.panel.state
        done = {name for name, is_done, _ in state.steps if is_done}
        if done & {"Train", "Predict"} and not (state.is_busy or state.stale_due):
            load_ahead(panel)
