"""How a run does: numbers against scikit-learn and by hand, FiftyOne's own evaluation, views."""

import fiftyone as fo
import numpy as np
import pytest
from made_runs import make_run
from scipy.optimize import minimize_scalar
from scored import class_names, scored_dataset
from sklearn.metrics import precision_recall_fscore_support

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.fields import field_info
from fiftyone_gradcam.review.calibration import (
    expected_calibration_error,
    fit_temperature,
    reliability,
    tempered,
    top_k,
)
from fiftyone_gradcam.review.confusion import class_rows, confusion_matrix, normalized
from fiftyone_gradcam.review.scores import softmax


def test_reliability_and_calibration_error_by_hand():
    confidence = np.array([0.95, 0.92, 0.55, 0.6, 1.0, 0.5])
    right = np.array([True, False, True, True, True, False])
    bins = reliability(confidence, right)
    assert [(one.low, one.count) for one in bins if one.count] == [(0.4, 1), (0.5, 2), (0.9, 3)]
    assert bins[5].confidence == pytest.approx(0.575)
    assert bins[5].accuracy == 1.0
    # 1/6 * |.5 - 0| + 2/6 * |.575 - 1| + 3/6 * |.95667 - .66667|
    expected = (0.5 + 2 * 0.425 + 3 * 0.29) / 6
    assert expected_calibration_error(bins) == pytest.approx(expected)


def test_the_temperature_is_the_most_likely_one():
    random = np.random.default_rng(0)
    logits = 3 * random.normal(size=(400, 4))
    labels = np.array([random.choice(4, p=p) for p in softmax(logits / 2.5)])
    probabilities = softmax(logits)

    def loss(t):
        return -np.log(softmax(logits / t)[np.arange(400), labels]).mean()

    expected = minimize_scalar(loss, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-9}).x
    assert fit_temperature(probabilities, labels) == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(tempered(probabilities, 2.5), softmax(logits / 2.5), atol=1e-9)


def test_shares_of_rows_and_columns_and_the_k_best():
    matrix = np.array([[3, 1, 0], [0, 0, 0], [2, 0, 4]])
    assert normalized(matrix, "row").tolist() == [[0.75, 0.25, 0], [0, 0, 0], [2 / 6, 0, 4 / 6]]
    assert normalized(matrix, "column").tolist() == [[0.6, 1, 0], [0, 0, 0], [0.4, 0, 1]]
    with pytest.raises(ValueError, match="'row' or 'column'"):
        normalized(matrix, "rows")
    probabilities = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.4, 0.35, 0.25]])
    labels = np.array([1, 2, -1])
    assert [top_k(probabilities, labels, k) for k in (1, 2, 3, 9)] == [1 / 3, 2 / 3, 2 / 3, 2 / 3]


def test_precision_recall_and_f1_are_those_of_scikit_learn():
    random = np.random.default_rng(1)
    labels, predicted = random.integers(0, 4, 60), random.integers(0, 4, 60)
    names = list("abcd")
    counts = {}
    for label, guess in zip(labels, predicted, strict=True):
        pair = (names[label], names[guess])
        counts[pair] = counts.get(pair, 0) + 1
    rows = class_rows(confusion_matrix(counts, names), names)
    expected = np.transpose(precision_recall_fscore_support(labels, predicted))
    found = [(r.precision, r.recall, r.f1, r.labelled) for r in rows]
    np.testing.assert_allclose(found, expected)


def test_a_run_is_evaluated_by_fiftyone_too(trained):
    found = fg.evaluate(trained, "quick", temperature=True)
    test = trained.match_tags("test")
    results = trained.load_evaluation_results("eval_quick")
    report = results.report()
    assert found.count == len(test)
    assert found.accuracy == pytest.approx(results.metrics()["accuracy"])
    assert found.accuracy == pytest.approx(test.count_values("eval_quick").get(True, 0) / len(test))
    for row in found.classes:
        assert (row.precision or 0) == pytest.approx(report[row.name]["precision"])
        assert (row.recall or 0) == pytest.approx(report[row.name]["recall"])
        assert (row.f1 or 0) == pytest.approx(report[row.name]["f1-score"])
        assert row.labelled == report[row.name]["support"]
    np.testing.assert_array_equal(found.matrix, results.confusion_matrix(classes=found.names))
    assert sum(one.count for one in found.reliability) == found.count
    assert found.top == {1: found.accuracy}  # of three classes the best three are always right
    assert fg.load_run(trained, "quick").temperature == found.temperature
    val = trained.match_tags("val")
    scores = np.array(val.values("prediction_scores"))
    labels = np.array([int(x[-1]) for x in val.values("ground_truth.label")])
    assert found.temperature == pytest.approx(fit_temperature(scores, labels))
    fg.review(test.limit(3), "exclude")
    again = fg.evaluate(trained, "quick")  # replaces its own
    assert (again.count, again.temperature) == (found.count - 3, found.temperature)
    assert "Left out by reviews: 3 excluded" in again.notes
    fg.undo_review(trained)
    for options, message in (
        ({"key": "no key"}, "not a valid evaluation key"),
        ({"key": "prediction"}, "is a field of"),
        ({"label_field": "nope"}, "Its fields of labels"),
    ):
        with pytest.raises(ValueError, match=message):
            fg.evaluate(trained, "quick", **options)
    labels = [fo.Classification(label=x) for x in trained.values("ground_truth.label")]
    trained.set_values("mine", labels)
    with pytest.raises(
        ValueError, match="'eval_quick' .* compares 'prediction' and 'ground_truth'"
    ):
        fg.evaluate(trained, "quick", label_field="mine", key="eval_quick")
    make_run(trained, "blank")  # which has predicted nothing yet
    fg.evaluate(trained, "blank", label_field="mine")
    assert field_info(trained, "prediction_blank")["label_field"] == "mine"
    fg.delete_run(trained, "blank", fields=True)
    trained.delete_sample_field("mine")
    with pytest.raises(ValueError, match="tagged 'val' that are not evaluated"):
        fg.evaluate(val, "quick", temperature=True)


def test_views_that_matter_are_saved(trained):
    names = fg.save_views(trained)
    assert set(names) <= set(trained.list_saved_views())
    assert {"confident mistakes", "least certain", "lowest of digit 0"} <= set(names)
    for label in ("digit 0", "digit 1"):
        wanted = fg.lowest_scores(trained, label, 100).values("id")
        assert trained.load_saved_view(f"lowest of {label}").values("id") == wanted
    margins = trained.load_saved_view("least certain").values("prediction.margin")
    assert margins == sorted(trained.values("prediction.margin"))[:100]
    first = trained.first()
    fg.review(trained.select(first.id), "exclude")
    fg.save_views(trained)  # replaces its own
    trained.reload()  # or what is not stored would be seen too
    assert first.id not in trained.load_saved_view("lowest of digit 0").values("id")
    fg.undo_review(trained)
    trained.delete_saved_view("least certain")
    trained.save_view("least certain", trained.limit(2))
    with pytest.raises(ValueError, match="was not saved by save_views"):
        fg.save_views(trained)
    assert len(trained.load_saved_view("least certain")) == 2
    fg.save_views(trained, overwrite=True)
    assert len(trained.load_saved_view("least certain")) == 100


def test_the_pairs_that_are_confused_most_are_saved(tmp_path, name):
    dataset = scored_dataset(name, tmp_path, 4, per_class=6)
    names, confused = class_names(4), ((0, 1, 3), (2, 0, 2), (3, 2, 2), (1, 3, 1))
    found = dataset.values("ground_truth.label")
    for label, other, count in confused:  # the first so many samples of a class
        found[6 * label : 6 * label + count] = [names[other]] * count
    dataset.set_values("prediction.label", found)
    pairs = [x for x in fg.save_views(dataset) if " as " in x]
    pairs_by_hand = sorted((-n, names[i], names[j]) for i, j, n in confused)
    assert pairs == [f"{label} as {other}" for _, label, other in pairs_by_hand]
    assert [len(dataset.load_saved_view(x)) for x in pairs] == [3, 2, 2, 1]
