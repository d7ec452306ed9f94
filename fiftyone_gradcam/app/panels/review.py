"""The tab "Review": one label after the other, with the evidence about it.

The card with its keyboard shortcuts and pictures is drawn by `review.js`. If the browser does not
run it, buttons do the same.
"""

from __future__ import annotations

import os

from fiftyone.operators import types

from ...dataset.fields import OWNER, field_info, label_fields
from ...dataset.review_queue import Filters, queue
from ...dataset.review_state import QUALITY
from ...dataset.runs import list_runs, newest_run
from ...workflow.deciding import review, undo_review
from ..texts import markdown, media, shortened
from .choices import row_of

CARD = "GradcamReviewCard"
WITHOUT_CARD = "gradcam-without-card"  # what the card hides
MOST_LETTERS = 40  # maximum number of characters of a class name on a button
MOST_BUTTONS = 10  # maximum number of classes; the form of "Review labels" lists all


class ReviewTab:
    """The tab "Review": it reads and draws its values, and handles its events."""

    def read_review(self, ctx) -> None:
        """Store the next label in the panel's state, for the buttons."""
        state = ctx.panel.state
        state.can_review = bool(label_fields(ctx.dataset))
        state.has_runs = bool(list_runs(ctx.dataset))
        state.is_judged = bool(field_info(ctx.dataset, QUALITY))
        if not state.can_review or not state.by_buttons:
            return
        found = queue(ctx.dataset, None, Filters(), 1)
        state.card = next(iter(found["cards"]), None)
        state.review_words = review_words(found["progress"])
        state.classes = found["classes"][:MOST_BUTTONS]

    def draw_review(self, ctx, panel: types.Object) -> None:
        """Draw the tab."""
        state = ctx.panel.state
        if not state.can_review:
            panel.md("There are no labels here yet. Import labeled folders.", name="no_labels")
            return
        if not state.is_judged:
            self._draw_actions(ctx, panel)
        if not state.by_buttons:
            view = types.View(component=CARD, composite_view=True)
            panel.define_property("review_card", types.Object(), view=view)
            words = "If no photo is shown here, review with buttons"
            panel.btn(
                "buttons",
                label=words,
                on_click=self.on_buttons,
                variant="text",
                componentsProps={"container": {"className": WITHOUT_CARD}},
            )
        else:
            self._draw_by_buttons(ctx, panel)
        if state.is_judged:
            self._draw_actions(ctx, panel)  # the card comes first, so that it fits in the window

    def _draw_actions(self, ctx, panel: types.Object) -> None:
        buttons = row_of(panel, "review_buttons")
        shown = {
            "find": ("Find label issues", self.on_find_issues),
            "all_sure": ("Accept all sure suggestions", self.on_accept_sure),
            "retrain": ("Retrain on corrected labels", self.on_retrain),
            "export": ("Export reviews", self.on_export_reviews),
        }
        if not ctx.panel.state.has_runs:
            del shown["retrain"]
        for name, (label, on_click) in shown.items():
            is_first = name == "find" and not ctx.panel.state.is_judged
            variant = "contained" if is_first else "outlined"
            buttons.btn(name, label=label, on_click=on_click, variant=variant)

    def _draw_by_buttons(self, ctx, panel: types.Object) -> None:
        state, card = ctx.panel.state, ctx.panel.state.card
        panel.md(markdown(state.review_words or ""), name="review_progress")
        actions = row_of(panel, "review_decisions")
        actions.btn("undo", label="Undo", on_click=self.on_undo_review)
        actions.btn("with_card", label="Back to the card", on_click=self.on_buttons)
        if not card:
            panel.md("Nothing is left to review.", name="review_done")
            return
        actions.btn("keep", label="Keep", on_click=self.on_decide, params=_asked(card, "keep"))
        if card["suggestion"]:
            label = f"Accept {shortened(card['suggestion'], MOST_LETTERS)}"
            params = _asked(card, "accept")
            actions.btn("accept", label=label, on_click=self.on_decide, params=params)
        for decision in ("unclear", "exclude"):
            params = _asked(card, decision)
            actions.btn(
                decision, label=decision.capitalize(), on_click=self.on_decide, params=params
            )
        words = f"**{markdown(card['label'])}** · {markdown(os.path.basename(card['path']))}"
        panel.md(f"{words}\n\n{markdown(card['evidence'])}", name="review_evidence")
        picture = types.ImageView(height="320px")
        panel.str(f"picture_{card['id']}", default=media(card["path"]), view=picture)
        classes = row_of(panel, "review_classes")
        for number, name in enumerate(state.classes):
            params = _asked(card, "relabel") | {"label": name}
            label = shortened(name, MOST_LETTERS)
            classes.btn(f"class_{number}", label=label, on_click=self.on_decide, params=params)

    def on_decide(self, ctx) -> None:
        """Store a decision that was made with a button, and show the next label.

        A second click on the button, before the next card is shown, is ignored.
        """
        params, state = ctx.params, ctx.panel.state
        decided = [params[x] for x in ("id", "shown", "decision")] + [params.get("label")]
        if decided == state.decided:
            return
        try:
            review(
                ctx.dataset.select(params["id"]),
                params["decision"],
                params.get("label"),
                shown={params["id"]: params["shown"]},
                source="App, Review tab",
            )
            state.decided = decided
        except ValueError as error:
            ctx.ops.notify(str(error), variant="error")
        self.read(ctx)

    def on_undo_review(self, ctx) -> None:
        """Undo the last decision."""
        ctx.panel.state.decided = None
        try:
            undo_review(ctx.dataset)
        except ValueError as error:
            ctx.ops.notify(str(error), variant="error")
        self.read(ctx)

    def on_buttons(self, ctx) -> None:
        """Switch from the card to buttons, or back."""
        ctx.panel.state.by_buttons = not ctx.panel.state.by_buttons
        self.read(ctx)

    def on_find_issues(self, ctx) -> None:
        """Open the form of find_label_issues."""
        ctx.prompt(f"{OWNER}/find_label_issues")

    def on_accept_sure(self, ctx) -> None:
        """Open the form that shows all suggestions that would be accepted."""
        ctx.prompt(f"{OWNER}/accept_sure", on_success=self.on_refresh)

    def on_retrain(self, ctx) -> None:
        """Open the form of retrain for the run that is shown, or else the newest one."""
        shown = ctx.panel.state.shown_run
        key = shown if shown in list_runs(ctx.dataset) else newest_run(ctx.dataset)
        ctx.prompt(f"{OWNER}/retrain", params={"run": key})

    def on_export_reviews(self, ctx) -> None:
        """Open the form of export_reviews."""
        ctx.prompt(f"{OWNER}/export_reviews")


def review_words(progress: dict) -> str:
    """Join the progress of the review with the remark on what is left."""
    return ". ".join(filter(None, (progress["words"], progress["left"])))


def _asked(card: dict, decision: str) -> dict:
    return {"id": card["id"], "shown": card["label"], "decision": decision}
