"""Stories of reviews, and of what networks see: embeddings in fields, layouts, features kept."""

from __future__ import annotations

import os

import numpy as np
from conftest import save_digits
from made_runs import CLASSES, make_run
from stories import QUIET, Place, Story, with_runs

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.kept_features import MOST_FILES

SWAPPED = ("digit 0/000.png", "digit 1/001.png")  # each looks as the other's class
# What a decision changes together, the user's label among it.
DECIDED = ("ground_truth", "review", "review_history", "label_quality", "prediction")


def seen(dataset) -> np.ndarray:
    """Embeddings that tell the classes apart, and show two images among those of another."""
    rows = []
    for number, path in enumerate(dataset.values("filepath")):
        name = "/".join(path.split(os.sep)[-2:])
        place = CLASSES.index(os.path.dirname(name))
        place = 1 - place if name in SWAPPED else place
        rows.append(np.eye(len(CLASSES))[place] + 0.05 * np.random.default_rng(number).random(3))
    return np.array(rows, np.float32)


def judged(place: Place) -> None:
    """Predictions, and labels that were judged by embeddings: there are two suggestions."""
    save_digits(place.photos, per_class=6)
    dataset = fg.import_folders(str(place.photos), place.name, progress=False)
    dataset.set_values("mine", ["a note"] * len(dataset))
    make_run(dataset, "a", files=False)
    fg.predict(dataset, "a", heatmaps=(), **QUIET)
    fg.find_label_issues(dataset, embeddings=seen(dataset), progress=False)
    suggested = sorted(dataset.exists("suggested_label").values("filepath"))
    assert [x.endswith(y) for x, y in zip(suggested, SWAPPED, strict=True)] == [True, True]


def reviewed(place: Place) -> None:
    """Three decisions, the last two in one call."""
    judged(place)
    fg.review(_first(place), "relabel", label="digit 2")
    fg.review(place.dataset.exists("suggested_label"), "accept")


def edited(place: Place) -> None:
    """Decisions, and a label that was edited elsewhere."""
    judged(place)
    fg.review(_first(place), "exclude")
    sample = place.dataset.sort_by("filepath").last()
    sample.ground_truth.label = "digit 0"
    sample.save()


def kept_in_many_files(place: Place) -> None:
    """As many files of features as there may be."""
    with_runs(place)
    for number in range(MOST_FILES):
        view = place.dataset.sort_by("filepath")[number : number + 1]
        fg.compute_embeddings(view, "a", **QUIET)


def with_embeddings(place: Place) -> None:
    """Vectors in a field, of the first run."""
    with_runs(place)
    fg.compute_embeddings(place.dataset, "a", field="seen", **QUIET)


def laid_out(place: Place) -> None:
    """And a layout of them."""
    with_embeddings(place)
    _lay_out(place)


def _lay_out(place: Place, **options) -> object:
    return fg.show_embeddings(place.dataset, embeddings="seen", method="pca", **QUIET, **options)


def _first(place: Place):
    return place.dataset.sort_by("filepath").skip(2).limit(1)


def _decisions(place: Place) -> list[str]:
    return [one.decision for one in fg.list_reviews(place.dataset)]


def _export(place: Place, **options) -> object:
    return fg.export_reviews(place.dataset, str(place.out / "reviews.csv"), **options)


STORIES = [
    Story(
        "review",
        judged,
        lambda p: fg.review(p.dataset.exists("suggested_label"), "accept"),
        is_done=lambda p: _decisions(p) == ["accept", "accept"],
        decides=DECIDED,
    ),
    Story(
        "review with a new class",
        judged,
        lambda p: fg.review(_first(p), "relabel", label="letter", new_class=True),
        is_done=lambda p: _decisions(p) == ["relabel"],
        decides=DECIDED,
    ),
    Story(
        "review that leaves out",
        reviewed,
        lambda p: fg.review(_first(p), "exclude"),
        is_done=lambda p: "exclude" in _decisions(p),
        decides=DECIDED,
        is_sampled=False,
    ),
    Story(
        "undo_review",
        reviewed,
        lambda p: fg.undo_review(p.dataset),
        is_done=lambda p: _decisions(p) == ["relabel"],
        decides=DECIDED,
        is_sampled=False,
    ),
    Story(
        "undo_review of two",
        reviewed,
        lambda p: fg.undo_review(p.dataset, 2),
        is_done=lambda p: not _decisions(p),
        decides=DECIDED,
    ),
    Story(
        "export_reviews", edited, _export, again=lambda p: _export(p, overwrite=True), exports=True
    ),
    Story(
        "compute_embeddings",
        with_runs,
        lambda p: fg.compute_embeddings(p.dataset, "a", field="seen", **QUIET),
        writes_into=("seen",),
        keeps=True,
        is_sampled=False,
    ),
    Story(
        "compute_embeddings by another run",
        with_embeddings,
        lambda p: fg.compute_embeddings(p.dataset, "b", field="seen", **QUIET),
        writes_into=("seen",),
        keeps=True,
    ),
    Story(
        "make one file of features",
        kept_in_many_files,
        lambda p: fg.compute_embeddings(p.dataset, "a", **QUIET),
        keeps=True,
    ),
    Story("show_embeddings", with_embeddings, _lay_out, is_sampled=False),
    Story("show_embeddings again", laid_out, lambda p: _lay_out(p, seed=1)),
]
