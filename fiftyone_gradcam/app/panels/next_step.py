"""The steps of the work on a dataset: which are done, and what to do next, based on counts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field

from ...dataset.overview import Overview
from ...dataset.run import BEFORE_REVIEW

EXPORTS = ("export_folders", "export_overlays", "export_run", "export_reviews")
FILES = (*EXPORTS, "report")  # suggested last once they were written
MOST_NEXT = 3  # suggestions that are shown
QUICK = "linear-probe"  # the recipe that trains the new layers alone
COST = "less accurate if images are unlike photos"  # than if all layers are trained
# What a button does.
FORM, START, REVIEW, RESUME, SHOW = "form", "start", "review", "resume", "show"


@dataclass(frozen=True)
class Step:
    """A step of the work.

    Attributes:
        name: the name, such as "Import"
        done: whether the step is done
        fact: a short remark
    """

    name: str
    done: bool
    fact: str


@dataclass(frozen=True)
class Next:
    """A suggestion of what to do next.

    Attributes:
        step: the name of the step
        label: the label of the button
        words: what it does, and why it is useful now
        how: "form" opens the form of the verb, "start" calls the verb on the whole dataset,
            "review" switches to the tab Review, "resume" calls the verb on the samples of the job
            that was interrupted, and "show" shows samples
        verb: the name of the verb
        given: the arguments of the verb by name, without the samples
    """

    step: str
    label: str
    words: str
    how: str
    verb: str = ""
    given: dict = field(default_factory=dict)

    def to_dict(self) -> dict:
        """Convert to a dictionary for the panel's state."""
        return asdict(self)


def steps(found: Overview, finished: Collection[str] = ()) -> list[Step]:
    """Return the steps of the work on a dataset, in order.

    Args:
        found: the state of the work
        finished: the verbs of jobs that were completed
    """
    exported = any(verb in EXPORTS for verb in finished)
    return [
        _import(found),
        Step("Split", "train" in found.parts, _parts(found) or "done with training"),
        Step("Train", bool(found.runs) and not found.canceled, _runs(found)),
        _predict(found),
        _review(found),
        _retrain(found),
        Step("Export", exported, "done" if exported else ""),
    ]


def next_steps(
    found: Overview,
    key: str = "classifier",
    backbone: str | None = None,
    interrupted: str | None = None,
    finished: Collection[str] = (),
    is_partly_predicted: bool = False,
    beside: Mapping[str, str] | None = None,
) -> list[Next]:
    """Return suggestions of what to do next, the most useful first.

    Args:
        found: the state of the work
        key: the key for a new run
        backbone: the backbone to train; by default (None), that of the recipe
        interrupted: the key of a training that can be resumed; None if there is none
        finished: the verbs of jobs that were completed
        is_partly_predicted: whether a prediction with the newest run was interrupted
        beside: new fields for predictions of the newest run, if those of another are there; see
            `fields_beside`
    """
    if not found.labeled:
        words = "Choose a folder of images: one folder for each class, or a table of labels."
        return [Next("Import", "Import a folder", words, FORM, "import_folders")]
    predict = _to_predict(found, is_partly_predicted, beside or {})
    found_all = _options(found, key, backbone, interrupted, predict)
    options = list({one.label: one for one in found_all}.values())
    options.sort(key=lambda one: one.verb in FILES and one.verb in finished)
    urgent = [one for one in options if one.how not in (FORM, SHOW)]
    return (urgent if len(urgent) > 1 else options)[:MOST_NEXT]


def _options(
    found: Overview,
    key: str,
    backbone: str | None,
    interrupted: str | None,
    predict: Next | None,
) -> Iterable[Next]:
    review = _to_review(found)
    # Whoever has predicted with the run of a canceled training may not need the rest of it.
    is_used = interrupted == found.newest_run and found.predicted_by(interrupted) > 0
    if interrupted and not is_used:
        yield _to_resume(found, interrupted)
    train, retrain = _to_train(found, key, backbone), _to_retrain(found)
    if review and predict:  # the order depends on what was done last
        is_newer = found.runs[found.newest_run] > (found.judged_at or "")
        yield from (predict, review) if is_newer else (review, predict)
    elif review or predict:
        yield review or predict
    if is_used:
        yield _to_resume(found, interrupted)
    if not found.judged:
        yield _to_find(found)
    if train:
        yield train
    if retrain:
        yield retrain
    if found.mistakes:
        images = _count(found.mistakes, "image")
        words = f"See the {images} on which prediction and label differ, the surest first."
        given = {"prediction_field": found.mistaken_field}
        yield Next("Review", "Show mistakes", words, SHOW, "mistakes", given)
    inside = " in a folder for each split" if found.parts else ""
    words = (
        f"Export the images to one folder for each class{inside}, with the labels as they are now."
    )
    yield Next("Export", "Export labeled folders", words, FORM, "export_folders")
    if not found.predicted:
        return
    words = "Write one HTML file about all of this, to send by email."
    yield Next("Export", "Write a report", words, FORM, "report")


def _to_find(found: Overview) -> Next:
    by = "what a pretrained network sees"
    if not found.has_features and not found.runs:
        by += ", which is downloaded once (about 14 MB)"
    words = f"Compare each of the {found.labeled} labels with {by}. No training is needed."
    given = {"label_field": found.label_field}
    return Next("Review", "Find label issues", words, START, "find_label_issues", given)


def _to_review(found: Overview) -> Next | None:
    left = found.review.left
    if not (found.judged and left):
        return None
    labels = _count(left, "suspicious label")
    words = "Accept or keep each with one key; the evidence is beside the image."
    if not found.runs:
        words += " A training after that can be compared with one on the labels before."
    return Next("Review", f"Review {labels}", words, REVIEW)


def _to_train(found: Overview, key: str, backbone: str | None) -> Next | None:
    if found.runs:
        return None
    words = "Train a classifier on your images, to see where it looks and how good it is."
    if not found.parts:
        words += " The images are split first: 60% train, 20% validation, 20% test."
    given = {"key": key, "label_field": found.label_field, "weights": "auto"}
    given |= {"backbone": backbone} if backbone else {}
    return Next("Train", "Train a classifier", words, START, "fine_tune", given)


def quickly(one: Next) -> Next:
    """Return the suggestion of a training of the new layers alone, instead of all layers."""
    given = one.given | {"recipe": QUICK}
    words = f"Train only the new layers: quick, but {COST}."
    return Next(one.step, "Train quickly", words, one.how, one.verb, given)


def is_quick(one: Next) -> bool:
    """Return whether a suggestion is one of `quickly`."""
    return one.verb == "fine_tune" and one.given.get("recipe") == QUICK


def _to_resume(found: Overview, key: str) -> Next:
    if found.canceled and key == found.newest_run:
        words = f"The training of {key!r} was canceled after {found.canceled}, and continues there."
    else:
        words = (
            f"The training of {key!r} was interrupted, and continues after the last saved epoch."
        )
    given = {"key": key, "resume": True}
    return Next("Train", f"Resume training {key!r}", words, RESUME, "fine_tune", given)


def _to_predict(found: Overview, is_partly: bool, beside: Mapping[str, str]) -> Next | None:
    run = found.newest_run
    if run is None:
        return None
    if is_partly and found.predicted_by(run) < found.samples:
        words = "The prediction was interrupted, and continues with the images that are left."
        given = {"run": run, "resume": True}
        return Next("Predict", f"Resume predicting with {run!r}", words, RESUME, "predict", given)
    if found.predicted_by(run):
        return None
    words = f"Let {run!r} predict all {found.samples} images, and see where it looks."
    if any(key == run and not is_now for key, is_now, _ in found.predicted.values()):
        words = f"The predictions are out of date: {run!r} was trained again since. {words}"
    if beside:
        words += f" Its results are stored in new fields: {' and '.join(beside.values())}."
    given = {"run": run, **beside}
    return Next("Predict", f"Predict with {run!r}", words, START, "predict", given)


def _to_retrain(found: Overview) -> Next | None:
    count, run = found.corrected_since, found.newest_run
    if run is None:
        return None
    if not count:
        return _to_train_before(found, run)
    labels = "1 corrected label" if count == 1 else f"{count} corrected labels"
    words = (
        f"{run!r} is out of date: labels have changed since it was trained. Repeat its training "
        f"with the labels as they are now, and compare both."
    )
    return Next("Retrain", f"Retrain with {labels}", words, START, "retrain", {"run": run})


def _to_train_before(found: Overview, run: str) -> Next | None:
    """The comparison for labels that were corrected before the first training."""
    if not found.corrected_first or found.learned or found.before_review or found.canceled:
        return None
    words = (
        f"{run!r} was trained and validated with "
        f"{_count(found.corrected_first, 'corrected label')}. See whether "
        f"they help: train once more on the labels before review, and compare both."
    )
    given = {"run": run, "labels": BEFORE_REVIEW}
    return Next("Retrain", "See whether corrections help", words, START, "retrain", given)


def _import(found: Overview) -> Step:
    if not found.samples:
        return Step("Import", False, "")
    fact = f"{_count(found.samples, 'sample')}, {_count(len(found.classes), 'class', 'classes')}"
    if found.labeled and found.labeled < found.samples:
        fact += f", {found.samples - found.labeled} without a label"
    return Step("Import", bool(found.labeled), fact)


def _parts(found: Overview) -> str:
    return ", ".join(f"{part} {count}" for part, count in found.parts.items())


def _runs(found: Overview) -> str:
    if not found.runs:
        return ""
    more = f"{len(found.runs)} runs, the newest is " if len(found.runs) > 1 else "run "
    words = f"{more}{found.newest_run!r}"
    if found.canceled:
        words += f", canceled after {found.canceled}; the training can be resumed"
    return words


def _predict(found: Overview) -> Step:
    run, most = found.newest_run, max(found.predicted.values(), key=lambda x: x[2], default=None)
    if run is None and most is not None:
        return Step("Predict", True, f"{most[2]} of {found.samples} by {most[0]!r}")
    count = found.predicted_by(run)
    if count:
        return Step("Predict", True, f"{count} of {found.samples} by {run!r}")
    return Step("Predict", False, f"not yet by {run!r}" if most is not None else "")


def _review(found: Overview) -> Step:
    fact = ". ".join(filter(None, (found.review.words, found.review.remark)))
    return Step("Review", found.judged and not found.review.left, fact)


def _retrain(found: Overview) -> Step:
    if not found.runs:
        return Step("Retrain", False, "")
    if found.corrected_since:
        count = _count(found.corrected_since, "correction")
        return Step("Retrain", False, f"{count} since the last run")
    if not found.learned and not found.corrected_first:
        return Step("Retrain", False, "")
    if found.canceled:
        was = f"the training of {found.newest_run!r} with all corrections was canceled"
        return Step("Retrain", False, was)
    # A training on the labels before review checks nothing: it is there to be compared with.
    learned = f"{found.newest_run!r} has learned from all corrections"
    if not found.learned:  # they were made before the first training
        learned = f"{found.newest_run!r} was trained with all corrections from the start"
    return Step("Retrain", True, learned)


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one}" if number == 1 else f"{number:,} {many or one + 's'}"
