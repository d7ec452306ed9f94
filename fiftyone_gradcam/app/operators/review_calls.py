"""What the review card asks of the server: the next cards, and to decide or undo.

These are no forms: they answer at once with plain values, what is wrong among them.
"""

from __future__ import annotations

import logging
from dataclasses import fields
from typing import ClassVar

import fiftyone.operators as foo
from bson import ObjectId

from ...dataset.decisions import adopt_edits
from ...dataset.review_queue import Filters, cards, progress_of, queue
from ...dataset.review_state import columns_of
from ...dataset.reviews import DECISIONS, reviewing
from ...workflow.deciding import review, undo_review
from .params import NUMBER, SWITCH, TEXT, TEXTS, Kind

logger = logging.getLogger(__name__)
SOURCES = ("App, Review tab", "App, sample modal")
MOST_CARDS = 100


class _Call(foo.Operator):
    """An operator that the review card calls; no person sees it in a list."""

    name = ""
    kinds: ClassVar[dict[str, Kind]] = {}

    @property
    def config(self) -> foo.OperatorConfig:
        """How FiftyOne lists it: not at all."""
        return foo.OperatorConfig(name=self.name, label=self.name, unlisted=True)

    def execute(self, ctx) -> dict:
        """Answer; what is refused is said in "error"."""
        try:
            if ctx.dataset is None:
                raise ValueError("Open a dataset first")
            given = {name: ctx.params.get(name) for name in self.kinds}
            for name, value in given.items():
                if value is not None and not self.kinds[name].fits(value):
                    raise ValueError(f"{name} must be {self.kinds[name].words}")
            return self.answer(ctx.dataset, given)
        except (ValueError, TypeError, TimeoutError, OSError) as error:
            logger.debug("%s is refused", self.name, exc_info=True)
            return {"error": str(error)}

    def answer(self, dataset, given: dict) -> dict:
        """What is sent back to the browser."""
        raise NotImplementedError


class ReviewCards(_Call):
    """The next cards of the queue, or those of some samples."""

    name = "review_cards"
    kinds: ClassVar = {
        "label_field": TEXT,
        "kind": TEXT,
        "label": TEXT,
        "suggestion": TEXT,
        "below": NUMBER,
        "ids": TEXTS,
        "adopt": SWITCH,
    }

    def answer(self, dataset, given: dict) -> dict:
        """Cards, progress and choices."""
        dataset.reload()
        columns = columns_of(dataset, given["label_field"])
        if given["adopt"]:  # labels that were edited elsewhere count
            with reviewing(dataset):
                adopt_edits(dataset, columns)
        if given["ids"] is not None:
            ids = _ids(given["ids"][:MOST_CARDS])
            found = queue(dataset, columns.label_field, Filters(), 1)
            return found | {"cards": cards(dataset, columns, ids)}
        own = {x.name: given[x.name] for x in fields(Filters)}
        return queue(dataset, columns.label_field, Filters(**own))


class ReviewDecide(_Call):
    """A decision about one sample."""

    name = "review_decide"
    kinds: ClassVar = {
        "label_field": TEXT,
        "id": TEXT,
        "decision": TEXT,
        "label": TEXT,
        "shown": TEXT,
        "new_class": SWITCH,
        "source": TEXT,
    }

    def answer(self, dataset, given: dict) -> dict:
        """What was decided, and how far the review is."""
        (sample_id,) = _ids([given["id"] or ""])
        if given["decision"] not in DECISIONS:
            raise ValueError(f"decision must be one of {', '.join(DECISIONS)}")
        (made,) = review(
            dataset.select(sample_id),
            given["decision"],
            given["label"],
            new_class=bool(given["new_class"]),
            label_field=given["label_field"],
            shown={sample_id: given["shown"]},
            source=given["source"] if given["source"] in SOURCES else SOURCES[0],
        )
        columns = columns_of(dataset, made.label_field)
        found = {"id": sample_id, "decision": made.decision, "label": made.new_label}
        return found | {"progress": progress_of(dataset, columns)}


class ReviewUndo(_Call):
    """Takes the last decision back."""

    name = "review_undo"
    kinds: ClassVar = {"label_field": TEXT}

    def answer(self, dataset, given: dict) -> dict:
        """The cards of what was undone, as they are again."""
        undone = undo_review(dataset)
        columns = columns_of(dataset, undone[0].label_field)
        ids = [one.sample_id for one in undone][:MOST_CARDS]
        found = {"cards": cards(dataset, columns, ids), "count": len(undone)}
        return found | {"progress": progress_of(dataset, columns)}


def _ids(ids: list[str]) -> list[str]:
    if wrong := [i for i in ids if not ObjectId.is_valid(i)]:
        raise ValueError(f"{wrong[0]!r} is no id of a sample")
    return ids
