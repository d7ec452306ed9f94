"""Stories of what is made of labels and predictions: evaluations, views, anomalies, reports, and
trainings on corrected labels."""

from __future__ import annotations

from conftest import save_digits
from decided import DECIDED, edited
from fiftyone import ViewField as F
from made_runs import make_run
from stories import QUIET, Place, Story, predicted, trained

import fiftyone_gradcam as fg


def evaluated(place: Place) -> None:
    """Predictions, and an evaluation of them all."""
    predicted(place)
    _evaluate(place)
    sample = place.dataset.match_tags("test").first()
    sample.ground_truth.label = "digit 1"
    sample.save()


def with_views(place: Place) -> None:
    """Views that were saved, before a label was edited."""
    predicted(place)
    fg.save_views(place.dataset)
    sample = place.dataset.match_tags("test").first()
    sample.ground_truth.label = "digit 1"
    sample.save()


def many(place: Place) -> None:
    """Enough photos that are normal."""
    save_digits(place.photos, per_class=10)
    dataset = fg.import_folders(str(place.photos), place.name, progress=False)
    dataset.set_values("mine", ["a note"] * len(dataset))
    make_run(dataset, "a", files=False)


def compared(place: Place) -> None:
    """Scores and maps of what is unlike two of the classes."""
    many(place)
    _find_anomalies(place)


def corrected(place: Place) -> None:
    """A run that was trained on a label that is another now, and on an image that is left out."""
    trained(place)
    train = place.dataset.match_tags("train").sort_by("filepath")
    fg.review(train.limit(1), "relabel", label="digit 2")
    fg.review(train.skip(1).limit(1), "exclude")


def reported(place: Place) -> None:
    """A report of what was there before a label was edited."""
    edited(place)
    _report(place)
    sample = place.dataset.sort_by("filepath").skip(4).first()
    sample.ground_truth.label = "digit 2"
    sample.save()


def _report(place: Place, **options) -> object:
    return fg.report(place.dataset, str(place.out / "report.html"), progress=False, **options)


def _evaluate(place: Place) -> object:
    return fg.evaluate(place.dataset, "a", **QUIET)


def _find_anomalies(place: Place, names: tuple[str, ...] = ("digit 0", "digit 1")) -> object:
    weights = fg.load_run(place.dataset, "a").checkpoint
    normal = place.dataset.match(F("ground_truth.label").is_in(names))
    return fg.find_anomalies(
        place.dataset, normal, backbone="small_cnn", weights=weights, resize="squash", **QUIET
    )


FIELDS = ("anomaly", "anomaly_map")
STORIES = [
    Story("evaluate", predicted, _evaluate, is_sampled=False),
    Story("evaluate again", evaluated, _evaluate),
    Story("save_views", predicted, lambda p: fg.save_views(p.dataset), is_sampled=False),
    Story("save_views again", with_views, lambda p: fg.save_views(p.dataset)),
    Story("find_anomalies", many, _find_anomalies, writes_into=FIELDS, is_sampled=False),
    Story(
        "find_anomalies again",
        compared,
        lambda p: _find_anomalies(p, ("digit 1", "digit 2")),
        writes_into=FIELDS,
    ),
    Story("retrain", corrected, lambda p: fg.retrain(p.dataset, "first", **QUIET)),
    Story(
        "retrain under a name",
        corrected,
        lambda p: fg.retrain(p.dataset, "first", key="second", include_excluded=True, **QUIET),
        is_sampled=False,
    ),
    Story(
        "report",
        edited,
        _report,
        again=lambda p: _report(p, overwrite=True),
        decides=DECIDED,
        exports=True,
    ),
    Story(
        "report again",
        reported,
        lambda p: _report(p, overwrite=True),
        decides=DECIDED,
        exports=True,
        is_sampled=False,
    ),
]
