"""Views that show the most relevant images first. They are plain FiftyOne views, which you can
save, refine and open in the App."""

from __future__ import annotations

import fiftyone as fo
from fiftyone import ViewField as F

from ..arguments import checked
from ..similar import did_you_mean
from .fields import classification_fields, field_info, label_path, path_in, root_dataset, whole
from .label_scores import refresh_label_scores
from .reviews import without_left_out


@checked
def lowest_scores(
    samples: fo.core.collections.SampleCollection,
    label: str | None = None,
    count: int | None = None,
    prediction_field: str = "prediction",
    label_field: str | None = None,
) -> fo.DatasetView:
    """Sort samples by the probability of their own label, lowest first.

    Scores of labels that have changed are updated first.

    Args:
        samples: a dataset or view with predictions
        label: only samples with this label; by default (None), all samples
        count: maximum number of samples, at least 1; by default (None), all samples
        prediction_field: field with the predictions of `predict`
        label_field: field with the labels of the samples; by default (None), the field that
            `predict` compared with

    Returns:
        a view, sorted by `<prediction_field>.label_score`

    Raises:
        ValueError: if there are no predictions or no such label, or `count` is not positive
    """
    return _by_score(samples, label, count, prediction_field, label_field, reverse=False)


@checked
def highest_scores(
    samples: fo.core.collections.SampleCollection,
    label: str | None = None,
    count: int | None = None,
    prediction_field: str = "prediction",
    label_field: str | None = None,
) -> fo.DatasetView:
    """Sort samples by the probability of their own label, highest first.

    Scores of labels that have changed are updated first.

    Args:
        samples: a dataset or view with predictions
        label: only samples with this label; by default (None), all samples
        count: maximum number of samples, at least 1; by default (None), all samples
        prediction_field: field with the predictions of `predict`
        label_field: field with the labels of the samples; by default (None), the field that
            `predict` compared with

    Returns:
        a view, sorted by `<prediction_field>.label_score`

    Raises:
        ValueError: if there are no predictions or no such label, or `count` is not positive
    """
    return _by_score(samples, label, count, prediction_field, label_field, reverse=True)


@checked
def mistakes(
    samples: fo.core.collections.SampleCollection,
    prediction_field: str = "prediction",
    label_field: str | None = None,
    include_excluded: bool = False,
) -> fo.DatasetView:
    """Select the samples whose prediction differs from their label, most confident first.

    Args:
        samples: a dataset or view with predictions
        prediction_field: field with the predictions of `predict`
        label_field: field with the labels of the samples; by default (None), the field that
            `predict` compared with
        include_excluded: also select samples that reviews have excluded or marked as unclear

    Returns:
        a view, sorted by `<prediction_field>.confidence`

    Raises:
        ValueError: if there are no predictions
    """
    own = F(_label_path(samples, prediction_field, label_field))
    samples = without_left_out(whole(samples), include_excluded, verbose=False)
    predicted = F(f"{prediction_field}.label")
    return samples.match(
        (predicted != None) & (own != None) & (predicted != own)  # noqa: E711
    ).sort_by(f"{prediction_field}.confidence", reverse=True)


def label_issues(
    samples: fo.core.collections.SampleCollection, quality_field: str = "label_quality"
) -> fo.DatasetView:
    """Return the samples that have a label quality, the most suspicious first.

    Raises:
        ValueError: if `find_label_issues` has not been run
    """
    if root_dataset(samples).get_field(quality_field) is None:
        raise ValueError(
            f"{samples._root_dataset.name!r} has no field {quality_field!r}. "
            f"{did_you_mean(quality_field, samples.get_field_schema(fo.FloatField))}"
            f"Call find_label_issues() first"
        )
    return whole(samples).exists(quality_field).sort_by(quality_field)


def accuracy(
    samples: fo.core.collections.SampleCollection,
    prediction_field: str = "prediction",
    label_field: str | None = None,
) -> float | None:
    """Return the fraction of correct predictions among samples that have a label and a prediction.

    Returns:
        a number in [0, 1]; None if no sample has both
    """
    own = _label_path(samples, prediction_field, label_field)
    pairs = whole(samples).values([f"{prediction_field}.label", own])
    judged = [p == y for p, y in zip(*pairs, strict=True) if p is not None and y is not None]
    return sum(judged) / len(judged) if judged else None


def _by_score(samples, label, count, prediction_field, label_field, reverse) -> fo.DatasetView:
    own = _label_path(samples, prediction_field, label_field)
    samples = whole(samples)
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
        raise ValueError(f"count must be a whole number of at least 1, not {count!r}")
    score = f"{prediction_field}.label_score"
    view = samples.exists(score)
    if label is not None:
        known = samples.distinct(own)
        if label not in known:
            raise ValueError(
                f"No sample has the label {label!r} in {own.removesuffix('.label')!r}. "
                f"{did_you_mean(label, filter(None, known))}Its labels: "
                f"{', '.join(map(str, known)) or 'none'}"
            )
        view = view.match({own: {"$eq": label}})  # in an expression, "$" would mean a field
    if changed := refresh_label_scores(root_dataset(samples), prediction_field):
        print(f"Updated {changed} values of {score!r}, because labels have changed")
    view = view.sort_by(score, reverse=reverse)
    return view if count is None else view.limit(count)


def _label_path(samples, prediction_field: str, label_field: str | None) -> str:
    """Return the path of the samples' own labels."""
    dataset = root_dataset(samples)
    if not isinstance(prediction_field, str) or dataset.get_field(prediction_field) is None:
        raise ValueError(
            f"{dataset.name!r} has no field {prediction_field!r}. "
            f"{did_you_mean(prediction_field, classification_fields(dataset))}Call predict() "
            f"first, or name the field that holds the predictions"
        )
    if label_field is not None:
        return label_path(dataset, label_field)
    known = field_info(dataset, prediction_field).get("label_field")
    return path_in(dataset, known or "ground_truth")
