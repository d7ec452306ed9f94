"""Calls from the browser by the review card: get the next cards, decide, and undo."""

from __future__ import annotations

from dataclasses import fields
from typing import ClassVar

from ...dataset.decisions import adopt_edits
from ...dataset.review_cards import cards
from ...dataset.review_queue import Filters, progress_of, queue
from ...dataset.review_state import classes_of, columns_of
from ...dataset.reviews import DECISIONS, reviewing
from ...workflow.deciding import review, undo_review
from .call import Call, checked_ids
from .params import NUMBER, SWITCH, TEXT, TEXTS

SOURCES = ("App, Review tab", "App, sample modal")
MOST_CARDS = 100


class ReviewCards(Call):
    """Get the next cards of the queue, or those of some samples."""

    name = "review_cards"
    kinds: ClassVar = {
        "label_field": TEXT,
        "kind": TEXT,
        "label": TEXT,
        "suggestion": TEXT,
        "below": NUMBER,
        "ids": TEXTS,
        "known": TEXTS,
        "adopt": SWITCH,
    }

    def answer(self, dataset, given: dict) -> dict:
        """Return the cards, the progress of the review, and the choices of the filters."""
        dataset.reload()
        columns = columns_of(dataset, given["label_field"])
        if given["adopt"]:  # add labels that were edited elsewhere to the journal
            with reviewing(dataset):
                adopt_edits(dataset, columns)
        if given["ids"] is not None:
            ids = checked_ids(given["ids"][:MOST_CARDS])
            found = queue(dataset, columns.label_field, Filters(), 1)
            return found | {"cards": cards(dataset, columns, ids)}
        own = {x.name: given[x.name] for x in fields(Filters)}
        return queue(dataset, columns.label_field, Filters(**own), known=given["known"] or ())


class ReviewDecide(Call):
    """Store a decision about one sample."""

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
        """Return the decision, and the progress of the review."""
        (sample_id,) = checked_ids([given["id"] or ""])
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


class ReviewUndo(Call):
    """Undo the last decision."""

    name = "review_undo"
    kinds: ClassVar = {"label_field": TEXT}

    def answer(self, dataset, given: dict) -> dict:
        """Return the cards of the samples whose decisions were undone, and the classes now."""
        undone = undo_review(dataset)
        columns = columns_of(dataset, undone[0].label_field)
        ids = [one.sample_id for one in undone][:MOST_CARDS]
        found = {"cards": cards(dataset, columns, ids), "count": len(undone)}
        found |= {"decision": undone[0].decision, "label": undone[0].new_label}
        found["classes"] = classes_of(dataset, columns.label_field)
        return found | {"progress": progress_of(dataset, columns)}
