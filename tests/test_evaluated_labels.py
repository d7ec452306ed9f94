"""Results on labels of all sorts: of classes that a run lacks, plain strings, and none."""

from dataclasses import replace

import fiftyone as fo
import numpy as np
import pytest
from made_runs import make_run, some_digits
from scored import scored_dataset

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset import runs
from fiftyone_gradcam.dataset.class_probabilities import class_probabilities
from fiftyone_gradcam.dataset.fields import describe_field
from fiftyone_gradcam.dataset.prediction_fields import PREDICTION_ATTRIBUTES
from fiftyone_gradcam.dataset.storing import Declared, declare
from fiftyone_gradcam.review.calibration import fit_temperature
from fiftyone_gradcam.training.recipe import Recipe
from fiftyone_gradcam.workflow.comparing import _notes
from fiftyone_gradcam.workflow.evaluating import _free_field, _temperature

CLASSES = [*"abcdef"]
OTHER_SPLIT = {"split": "of earlier", "held_out": "other images"}
#        label, probabilities of the six classes
ROWS = [
    ("a", [0.5, 0.1, 0.1, 0.1, 0.1, 0.1]),  # right
    ("b", [0.3, 0.28, 0.2, 0.1, 0.07, 0.05]),  # the second
    ("d", [0.3, 0.28, 0.2, 0.1, 0.07, 0.05]),  # the fourth
    ("x", [0.04, 0.88, 0.02, 0.02, 0.02, 0.02]),  # a class that the run lacks
    (None, [0.04, 0.88, 0.02, 0.02, 0.02, 0.02]),
]


@pytest.fixture
def dataset(name):
    """Five samples with labels as strings, and a run whose probabilities are stored."""
    dataset = fo.Dataset(name)
    dataset.add_samples([fo.Sample(f"/{n}.png", text=label) for n, (label, _) in enumerate(ROWS)])
    recipe = Recipe(backbone="small_cnn", weights="none", epochs=1).to_dict()
    run = runs.save_run(
        dataset, runs.Run("one", dataset.name, CLASSES, recipe, [], 1, "text", "/none")
    )
    facts = {"run": "one", "version": run.version, "classes": CLASSES, "label_field": "text"}
    declare(dataset, "one", Declared("classification", "", facts, PREDICTION_ATTRIBUTES))
    declare(dataset, "one_scores", Declared("floats", "", facts, {}))
    dataset.set_values("one_scores", [row for _, row in ROWS])
    return dataset


def test_a_label_that_a_run_lacks_counts_as_wrong(dataset, capsys):
    dataset.limit(2).tag_samples("train")
    runs.keep_values(dataset, "one", temperature=2.0)
    found = fg.evaluate(dataset, "one")
    assert (found.count, found.right, found.key, found.run) == (4, 1, "eval_one", "one")
    assert found.top == {1: 0.25, 3: 0.5, 5: 0.75}
    # |0.5 - 1| + 2 * 0.3 + 0.88, and the same of the square roots.
    assert found.calibration_error == pytest.approx((0.5 + 2 * 0.3 + 0.88) / 4)
    roots = [np.sqrt(row).max() / np.sqrt(row).sum() for _, row in ROWS[:4]]
    expected = (1 - roots[0] + sum(roots[1:])) / 4
    assert found.tempered_error == pytest.approx(expected)
    assert found.normalized("column").tolist() == [
        [1 / 3, 0, 0, 0],
        [1 / 3, 0, 0, 0],
        [1 / 3, 0, 0, 0],
        [0, 1, 0, 0],
    ]
    assert found.normalized()[3].tolist() == [0, 1, 0, 0]
    assert found.notes == [
        "2 of the samples are tagged 'train': accuracy on training images says little about new "
        "images",
        "Not counted: 1 sample without a label, or that cannot be decoded",
        "Labels that are plain strings are not shown in the Model Evaluation panel",
        "'one' has no class x: these samples count as wrong",
    ]
    lines = str(found).splitlines()
    assert lines[:3] == [
        "Run 'one' classifies 1 of 4 samples correctly: 25.0% (95% interval 4.6% to 69.9%)",
        "top 1 25.0%, top 3 50.0%, top 5 75.0%; expected calibration error 0.495",
        f"With temperature 2.00 the expected calibration error is {expected:.3f}",
    ]
    assert lines[3:7] == [
        "  a: precision 0.333, recall 1.000, F1 0.500 (1 sample, 3 predicted)",
        "  b: precision 0.000, recall 0.000, F1 0.000 (1 sample, 1 predicted)",
        "  d: precision –, recall 0.000, F1 0.000 (1 sample, 0 predicted)",
        "  x: precision –, recall 0.000, F1 0.000 (1 sample, 0 predicted)",
    ]
    assert lines[7:] == [f"Note: {note}" for note in found.notes]
    assert str(found) in capsys.readouterr().out
    assert dataset.list_evaluations() == []
    runs.keep_values(dataset, "one", basis=OTHER_SPLIT)
    again = fg.evaluate(dataset.match_tags("train"), "one", "mine")  # of classes that it knows
    assert again.notes[1].startswith("The split has changed since run 'one' was trained: ")
    assert again.names == ["a", "b"]
    assert [x for x in again.notes if "count as wrong" in x or "Not counted" in x] == []
    assert "With temperature" not in str(replace(again, temperature=None))


def test_the_field_of_new_predictions_is_one_that_is_free(dataset):
    run = fg.load_run(dataset, "one")
    assert _free_field(dataset, run) == "prediction"
    dataset.add_sample_field("prediction", fo.StringField)
    assert _free_field(dataset, run) == "prediction_one"


def test_notes_of_a_comparison_name_what_makes_it_unequal(dataset):
    one = replace(fg.load_run(dataset, "one"), val_accuracy=0.5)
    two = replace(one, key="two", classes=[*"abx"])
    assert _notes(one, replace(two, val_accuracy=None), ["a"], 0) == []
    assert _notes(replace(one, val_accuracy=None), two, ["a"], 0) == []
    unjudged, first, second, apart = _notes(one, two, ["a", "d", "x"], 2)
    assert unjudged == "Not counted: 2 samples without a label, or that cannot be decoded"
    assert first == "'one' has no class x: these samples count as wrong"
    assert second == "'two' has no class d: these samples count as wrong"
    assert apart.startswith("Do not compare the validation accuracies of training, 50.0% of 'one'")


def test_a_temperature_is_fitted_on_labels_that_the_run_knows(dataset):
    dataset.limit(4).tag_samples("val")
    run, rows = fg.load_run(dataset, "one"), np.array([row for _, row in ROWS])

    def found(judged) -> float:
        return _temperature(judged, run, "text", lambda *_: None)

    labels = np.array([0, 1, 3])
    assert found(dataset.skip(4)) == pytest.approx(fit_temperature(rows[:3], labels))
    rest = fit_temperature(rows[1:3], labels[1:])  # of what is not evaluated
    assert found(dataset.limit(1)) == pytest.approx(rest)
    assert rest != pytest.approx(fit_temperature(rows[:3], labels))
    alone = found(dataset.skip(1))
    assert alone == pytest.approx(fit_temperature(rows[:1], labels[:1]))
    with pytest.raises(ValueError, match="tagged 'val' that are not evaluated, but there are none"):
        found(dataset.limit(3))


def test_views_are_saved_of_what_there_is(tmp_path, name, capsys):
    for dataset in some_digits(tmp_path / "d", name, per_class=6):
        nothing = "has neither predictions nor judged labels. Call predict.. or find_label_issues.."
        with pytest.raises(ValueError, match=nothing):
            fg.save_views(dataset)
        bare = fo.Dataset()  # without labels
        with pytest.raises(ValueError, match=nothing):
            fg.save_views(bare)
        bare.delete()
        likely = np.full((18, 3), 0.05)
        likely[np.arange(18), np.repeat([1, 1, 2], 6)] = 0.9
        view = fg.find_label_issues(dataset, probabilities=likely)
        capsys.readouterr()
        assert fg.save_views(dataset) == ["suspicious"]
        assert capsys.readouterr().out == f"Saved 1 view of {name!r}\n"
        dataset.reload()
        saved = dataset.load_saved_view("suspicious")
        assert saved.values("id") == view.values("id")
        words = "Saved by save_views: labels that may be wrong, worst first"
        assert dataset.get_saved_view_info("suspicious")["description"] == words


def test_views_of_predictions_without_labels_are_by_certainty_only(tmp_path, name):
    dataset = scored_dataset(name, tmp_path, 3, per_class=2)
    empty = dataset.first()
    empty.ground_truth.label = ""
    empty.save()
    names = fg.save_views(dataset, "second")
    assert "lowest of " not in names
    assert "least certain" in names
    assert "confident mistakes" in names
    describe_field(dataset, "second", "made up", run="x", label_field="gone", classes=[])
    assert fg.save_views(dataset, "second") == ["least certain"]
    words = "Saved by save_views: the two best classes are almost equally probable"
    assert dataset.get_saved_view_info("least certain")["description"] == words
    dataset.add_sample_field("second.margin", fo.FloatField)
    dataset.set_values("second.margin", [0.5, 0.1, None, 0.9, 0.3, 0.2])
    fg.save_views(dataset, "second")
    dataset.reload()
    margins = dataset.load_saved_view("least certain").values("second.margin")
    assert margins == [0.1, 0.2, 0.3, 0.5, 0.9]


def test_a_comparison_needs_a_label_and_an_image_of_one_sample(tmp_path, name):
    done = []
    for dataset in some_digits(tmp_path / "d", name, per_class=2):
        make_run(dataset, "a", files=False)
        make_run(dataset, "b", seed=1, files=False)
        first, second = dataset.limit(2)
        with open(first.filepath, "wb") as file:
            file.write(b"x")
        second.ground_truth = None
        second.save()
        both = dataset.limit(2)
        words = "None of these samples has both a label and an image that can be decoded"
        with pytest.raises(ValueError, match=words):
            fg.compare_runs(both, "a", "b", progress=False)
        runs.keep_values(dataset, "b", basis=OTHER_SPLIT)
        found = fg.compare_runs(dataset, "a", "b", progress=lambda *step: done.append(step[:2]))
        assert found.notes[0].startswith("The split has changed since run 'b' was trained: ")
        assert found.pairs.count == 4
        shares = [now / total for now, total in done]
        assert shares == sorted(shares)
        assert shares[-1] == 1
        # Neither has a part in the temperature, though both have the tag.
        dataset.limit(4).tag_samples("val")
        dataset.skip(4).tag_samples("test")
        run, view = fg.load_run(dataset, "a"), dataset.skip(2).limit(2)
        known = class_probabilities(view, run, "cpu", lambda *_: None).probabilities
        found = fg.evaluate(dataset, "a", temperature=True, progress=False)
        assert found.temperature == pytest.approx(fit_temperature(known, np.array([1, 1])))
        assert dataset.count("prediction") == 2
        # What has no prediction yet gets one, and counts.
        assert fg.evaluate(dataset.skip(2), "a", progress=False).count == 4
        assert dataset.count("prediction") == 4
