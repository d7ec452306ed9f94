"""Two runs on the same samples: counts, tests and views by hand; retraining on corrected labels."""

import json
import os
from dataclasses import replace

import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import pytest
from conftest import QUICK, save_digits
from fiftyone.operators import types
from panel_contexts import context, end, requests
from scipy.stats import binomtest

import fiftyone_gradcam as fg
from fiftyone_gradcam.app.compared import compared
from fiftyone_gradcam.app.panels.compared import draw_compared
from fiftyone_gradcam.app.panels.runs import describe_run
from fiftyone_gradcam.dataset import runs
from fiftyone_gradcam.dataset.comparisons import newest_comparison
from fiftyone_gradcam.dataset.freshness import stale_values
from fiftyone_gradcam.dataset.measured import difference, measured_on
from fiftyone_gradcam.dataset.prediction_fields import PREDICTION_ATTRIBUTES
from fiftyone_gradcam.dataset.run import BEFORE_REVIEW, CURRENT
from fiftyone_gradcam.dataset.run_keys import repeated
from fiftyone_gradcam.dataset.storing import Declared, declare
from fiftyone_gradcam.dataset.training_sets import training_data
from fiftyone_gradcam.jobs.calls import pack_ids, unpack_ids
from fiftyone_gradcam.review.comparison import Pairs, mcnemar
from fiftyone_gradcam.training.recipe import Recipe
from fiftyone_gradcam.training.recipes import make_recipe
from fiftyone_gradcam.workflow.retraining import _find_repeat, _Repeat


@pytest.mark.parametrize(("a", "b"), [(0, 0), (0, 1), (3, 6), (1, 12), (40, 60), (7, 7)])
def test_mcnemars_test_is_the_exact_binomial_test(a, b):
    expected = binomtest(a, a + b).pvalue if a + b else 1.0
    assert mcnemar(a, b) == pytest.approx(expected, rel=1e-12)
    assert mcnemar(b, a) == mcnemar(a, b)


def test_pairs_are_counted_and_told_in_words():
    a = np.array([1, 1, 0, 0, 1, 0], bool)
    b = np.array([1, 0, 1, 1, 1, 0], bool)
    pairs = Pairs.of(a, b)
    assert pairs == Pairs(6, right_a=3, right_b=4, only_a=1, only_b=2, both_wrong=1)
    assert pairs.both_right == 2
    assert pairs.words("x", "y") == (
        "'x' is right on 3 of 6 images (50.0%), 'y' on 4 (66.7%). The difference may be chance: "
        "too few images to tell them apart (McNemar's exact test, p = 1)"
    )
    few = Pairs(28, 23, 26, 1, 4, 1)
    assert few.headline("x", "y") == "'x' is right on 23 of 28 images (82.1%), 'y' on 26 (92.9%)"
    assert few.verdict("x", "y") == (  # 2 * (1 + 5) / 2 ** 5
        "The difference may be chance: too few images to tell them apart (McNemar's exact test, "
        "p = 0.38)"
    )
    for right, only, better in (((70, 90), (2, 22), "'y'"), ((90, 70), (22, 2), "'x'")):
        words = Pairs(100, *right, *only, 8).verdict("x", "y")
        assert words.startswith(f"{better} is better: the difference is more than chance (McNemar")
    many = Pairs(900, 400, 410, 95, 105, 390)
    assert many.verdict("x", "y").startswith("The difference may be chance (McNemar")
    assert Pairs(5, 4, 4, 0, 0, 1).verdict("x", "y") == "Both are right on the same images"
    same = Pairs(1, 0, 0, 0, 0, 1)
    assert same.headline("x", "y") == "'x' is right on 0 of 1 image (0.0%), 'y' on 0 (0.0%)"
    assert Pairs(9, 6, 6, 2, 2, 1).verdict("x", "y") == (
        "Both are right on the same number of images, but not on the same ones"
    )


def test_a_comparison_is_shown_as_a_table_that_adds_up():
    found = compared(Pairs(79, 76, 78, 1, 3, 0), "first", "first_corrected")
    assert found["headline"] == (
        "'first' is right on 76 of 79 images (96.2%), 'first_corrected' on 78 (98.7%)"
    )
    assert [(x["result"], x["name"], x["count"], x["share"]) for x in found["rows"]] == [
        ("both_right", "Both are right", "75", "94.9%"),
        ("fixed", "Fixed: only 'first_corrected' is right", "3", "3.8%"),
        ("broken", "Broken: only 'first' is right", "1", "1.3%"),
        ("both_wrong", "Both are wrong", "0", "0.0%"),
    ]


CLASSES = ["a", "b"]
#          label, p(b) of run one, p(b) of run two; None: not predicted
ROWS = [
    ("a", 0.1, 0.2),  # both right
    ("a", 0.9, 0.2),  # fixed
    ("a", 0.8, 0.3),  # fixed
    ("b", 0.9, 0.4),  # broken
    ("b", 0.2, 0.1),  # both wrong
    ("c", 0.2, 0.1),  # a class that neither knows
    (None, 0.2, 0.9),  # does not count
]


@pytest.fixture
def dataset(name):
    dataset = fo.Dataset(name)
    dataset.add_samples(
        [
            fo.Sample(filepath=f"/{n}.png", own=label and fo.Classification(label=label))
            for n, (label, _, _) in enumerate(ROWS)
        ]
    )
    for place, key in ((1, "one"), (2, "two")):
        recipe = Recipe(backbone="small_cnn", weights="none", epochs=1).to_dict()
        run = runs.Run(key, dataset.name, CLASSES, recipe, [], 1, "own", "/none")
        run = runs.save_run(dataset, replace(run, val_accuracy=0.5))
        facts = {"run": key, "version": run.version, "classes": CLASSES, "label_field": "own"}
        declare(dataset, key, Declared("classification", "", facts, PREDICTION_ATTRIBUTES))
        declare(dataset, f"{key}_scores", Declared("floats", "", facts, {}))
        dataset.set_values(f"{key}_scores", [[1 - row[place], row[place]] for row in ROWS])
    return dataset


def test_runs_are_compared_on_the_same_samples(dataset):
    found = fg.compare_runs(dataset, "one", "two")
    assert found.pairs == Pairs(6, right_a=2, right_b=3, only_a=1, only_b=2, both_wrong=2)
    assert {name: (x.right_a, x.right_b, x.count) for name, x in found.classes.items()} == {
        "a": (1, 3, 3),
        "b": (1, 0, 2),
        "c": (0, 0, 1),
    }
    assert found.both_right.values("filepath") == ["/0.png"]
    assert found.fixed.values("filepath") == ["/1.png", "/2.png"]
    assert found.broken.values("filepath") == ["/3.png"]
    assert found.both_wrong.values("filepath") == ["/4.png", "/5.png"]
    assert found.pairs.interval_b == pytest.approx(
        tuple(binomtest(3, 6).proportion_ci(method="wilson")), abs=1e-9
    )
    kept = newest_comparison(dataset, fg.load_run(dataset, "one"))
    assert kept == newest_comparison(dataset, fg.load_run(dataset, "two"))
    assert (kept.a, kept.b, kept.pairs, kept.classes) == ("one", "two", found.pairs, found.classes)
    assert kept.notes == found.notes
    words = "Compared on the same images: 'one' is right on 2 of 6 images (33.3%), 'two' on 3 "
    assert all(words in describe_run(dataset, key)[0] for key in ("one", "two"))
    assert any("'one' has no class c" in note for note in found.notes)
    assert any("1 sample without a label" in note for note in found.notes)
    assert any("50.0% of 'one' and 50.0% of 'two'" in note for note in found.notes)
    assert "3 -> " not in str(found)
    assert "a: 1 -> 3 of 3" in str(found)
    swapped = fg.compare_runs(dataset, "two", "one")
    assert swapped.fixed.values("filepath") == ["/3.png"]


def test_reports_have_the_newest_comparison_of_a_run(dataset):
    one, two = (fg.load_run(dataset, key) for key in ("one", "two"))
    assert newest_comparison(dataset, None) is newest_comparison(dataset, one) is None
    fg.compare_runs(dataset.limit(3), one, two)  # what concerns a view only is not kept
    assert newest_comparison(dataset, one) is None
    fg.compare_runs(dataset, one, two)
    fg.compare_runs(dataset, two, one)
    found = newest_comparison(dataset, two)
    assert (found.a, found.b) == ("two", "one")
    assert "Labels have changed since: compare the runs again" not in found.notes
    dataset.set_values("own.label", {dataset.first().id: "b"}, key_field="id")
    found = newest_comparison(dataset, two)
    assert found.notes[0] == "Labels have changed since: compare the runs again"
    runs.save_run(dataset, replace(one, val_accuracy=0.6))  # trained again
    assert newest_comparison(dataset, fg.load_run(dataset, "two")) is None


def test_excluded_and_unclear_samples_do_not_count(dataset, capsys):
    fg.review(dataset.skip(3).limit(1), "exclude", label_field="own")
    fg.review(dataset.skip(4).limit(1), "unclear", label_field="own")
    found = fg.compare_runs(dataset, "one", "two")
    assert (found.pairs.count, found.pairs.only_a) == (4, 0)
    assert "Left out by reviews: 1 excluded, 1 unclear" in found.notes
    assert "Left out by reviews" in capsys.readouterr().out
    every = fg.compare_runs(dataset, "one", "two", include_excluded=True)
    assert every.pairs.count == 6
    assert "comparison" in foo.get_operator("@gradcam/classifier/compare_runs").outcome(every, {})


@pytest.mark.parametrize("verb", ["compare_runs", "retrain"])
def test_the_app_shows_the_samples_of_each_result(dataset, verb, panel, service, submit):
    outcome = foo.get_operator(f"@gradcam/classifier/{verb}").outcome(
        fg.compare_runs(dataset, "one", "two"), {}
    )
    assert "view" not in outcome  # the grid stays as it is until a button is pressed
    dataset.set_values("one.label", ["a"] * len(ROWS))
    job, state = submit(verb, a="one", b="two", run="one"), {"tab": "jobs"}
    end(service, job, result=outcome)
    panel.read(context(dataset, state))
    (card,) = state["cards"]
    found = card["compared"]
    assert [row["count"] for row in found["rows"]] == ["1", "2", "1", "2"]
    assert found["headline"] == "'one' is right on 2 of 6 images (33.3%), 'two' on 3 (50.0%)"
    assert set(found) == {"headline", "verdict", "rows", "notes"}  # state is sent with each event
    drawn = json.dumps(panel.render(context(dataset, state)).type.to_json())
    assert "Fixed: only 'two' is right" in drawn
    assert "renamed or deleted since" not in drawn
    expected = (["/0.png"], ["/1.png", "/2.png"], ["/3.png"], ["/4.png", "/5.png"], None)
    for row, paths in zip((0, 1, 2, 3, -1), expected, strict=True):
        ctx = context(dataset, state, row=row, event=job.id)
        panel.on_show_compared(ctx)
        views = [x["view"] for x in requests(ctx, "set_view")]
        seen = [fo.DatasetView._build(dataset, view).values("filepath") for view in views]
        assert seen == ([] if paths is None else [paths])
        if paths:
            (active,) = requests(ctx, "set_active_fields")
            assert active["fields"] == ["own", "two", "one"]
    later = submit("split", fractions={"train": 1.0})  # the comparison stays in sight
    end(service, later)
    panel.read(context(dataset, state))
    assert [card["id"] for card in state["cards"]] == [later.id, job.id]
    assert state["cards"][1]["compared"] == found
    dataset.delete_run("one")
    panel.read(context(dataset, state))
    drawn = json.dumps(panel.render(context(dataset, state)).type.to_json())
    assert "'one': renamed or deleted since" in drawn


def test_what_cannot_be_compared_is_refused(dataset):
    for a, b, message in (
        ("one", "one", "Both runs are 'one'"),
        ("one", "twoo", "Did you mean 'two'"),
    ):
        with pytest.raises(ValueError, match=message):
            fg.compare_runs(dataset, a, b)
    unlabelled = dataset.select(dataset.values("id")[6])
    with pytest.raises(ValueError, match="None of these samples has a label in 'own'"):
        fg.compare_runs(unlabelled, "one", "two")


def test_ids_are_packed_for_jobs():
    few = ["0" * 24, "0123456789abcdef01234567", "f" * 24]
    assert unpack_ids(pack_ids(few)) == few
    assert unpack_ids(pack_ids([])) == []
    many = [f"6923ab12{number:016x}" for number in range(10_000)]
    assert unpack_ids(pack_ids(many)) == many
    assert len(pack_ids(many)) < 8 * len(many)  # 24 as text


def test_accuracies_of_other_samples_or_labels_say_so(dataset):
    paths = dataset.values("filepath")
    one = measured_on(dataset, paths[:3], ["a", "a", "b"])
    assert measured_on(dataset, paths[2::-1], ["b", "a", "a"]) == one  # in any order
    relabelled = measured_on(dataset, paths[:3], ["a", "b", "b"])
    others = measured_on(dataset, paths[1:4], ["a", "a", "b"])
    assert difference({"x": one, "y": dict(one)}) is None
    assert difference({"x": one}) is None
    assert "measured with different labels" in difference({"x": one, "y": relabelled})
    assert "measured on different samples" in difference({"x": one, "y": others})
    assert "on samples that are unknown ('y')" in difference({"x": one, "y": None})


FEW = {**QUICK, "epochs": 2}


def cancelled_at(share: float):
    """A progress function that cancels when this share of the work is done."""

    def cancel(done: int, total: int, message: str) -> None:
        if done > total * share:
            raise fg.CancelledError

    return cancel


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    """Digits with 12 labels of "train" wrong, and a run that was trained on them."""
    root = save_digits(tmp_path_factory.mktemp("noisy") / "digits", 40)
    dataset = fg.import_folders(str(root), f"noisy {root.parent.name}")
    fg.split(dataset)
    wrong = dataset.match_tags("train").limit(12)
    wrong.set_values("ground_truth.label", ["digit 2"] * 12)
    fg.fine_tune(dataset, "first", **QUICK)
    yield dataset
    dataset.delete()


def test_retraining_repeats_the_recipe_on_corrected_labels(noisy, capsys):
    ids = noisy.match_tags("train").limit(12).values("id")
    fg.review(noisy.select(ids[:10]), "relabel", "digit 0")
    fg.review(noisy.select(ids[10:]), "unclear")
    fg.review(noisy.select(ids[10:]), "exclude")  # which counts once, as the last decision

    with pytest.raises(fg.CancelledError, match="best weights are kept as run 'first_corrected'"):
        fg.retrain(noisy, "first", progress=cancelled_at(0.5))
    part = [row["epoch"] for row in fg.load_run(noisy, "first_corrected").history]
    assert part == [1, 2, 3]
    capsys.readouterr()
    found = fg.retrain(noisy, "first")  # completes it
    out = capsys.readouterr().out
    assert [row["epoch"] for row in fg.load_run(noisy, "first_corrected").history] == [
        *range(1, QUICK["epochs"] + 1)
    ]
    assert "10 labels were corrected and 2 samples were excluded or marked unclear" in out
    assert "Left out by reviews: 2 excluded" in out
    assert (found.a, found.b) == ("first", "first_corrected")
    old, new = fg.load_run(noisy, "first"), fg.load_run(noisy, "first_corrected")
    assert new.recipe == old.recipe
    test = noisy.match_tags("test")
    assert found.pairs.count == len(test)
    for key, right in (("first", found.pairs.right_a), ("first_corrected", found.pairs.right_b)):
        fg.predict(test, key, prediction_field=key, heatmaps=())
        pairs = zip(*test.values([f"{key}.label", "ground_truth.label"]), strict=True)
        assert right == sum(p == y for p, y in pairs)
    again = fg.compare_runs(noisy, "first", "first_corrected")  # now from what is stored
    assert again.pairs == found.pairs
    assert again.fixed.values("id") == found.fixed.values("id")
    capsys.readouterr()
    again = fg.retrain(noisy, "first")  # of the same labels it is the same run
    assert "Run 'first_corrected' was already trained on these labels" in (capsys.readouterr().out)
    assert (again.b, again.pairs) == ("first_corrected", found.pairs)
    # Of a run that has seen all corrections, another training shows nothing of them.
    unchanged = "No label was corrected since run 'first_corrected' was trained, so this does not"
    assert not any(note.startswith("No label was corrected") for note in found.notes)
    assert fg.retrain(noisy, "first_corrected").notes[0].startswith(unchanged)
    fg.delete_run(noisy, "first_corrected_2")
    assert fg.list_runs(noisy) == ["first", "first_corrected"]
    with pytest.raises(ValueError, match="Run 'first' exists already"):
        fg.retrain(noisy, "first", key="first")
    fg.review(noisy.select(ids[:1]), "relabel", "digit 1")  # of other labels it is another
    assert _find_repeat(noisy, old, Recipe(**old.recipe), None, CURRENT, False) == _Repeat(
        "first_corrected_2"
    )
    recipe = Recipe(**old.recipe)
    every = _find_repeat(noisy, old, recipe, None, CURRENT, True)
    assert every.key == "first_corrected_2"
    fg.undo_review(noisy)
    assert _find_repeat(noisy, old, recipe, "x", CURRENT, False) == _Repeat("x")
    # What one of them cannot see does not count, though the other has predicted it earlier.
    gone = test.first()
    os.unlink(gone.filepath)
    noisy.set_values("first_corrected_scores", {gone.id: None}, key_field="id")
    fewer = fg.compare_runs(noisy, "first", "first_corrected")
    assert fewer.pairs.count == len(test) - 1


def test_a_run_on_corrected_labels_is_compared_with_one_on_the_labels_before(tmp_path, name):
    dataset = fg.import_folders(str(save_digits(tmp_path / "digits", 40)), name)
    fg.split(dataset)
    train, test = dataset.match_tags("train"), dataset.match_tags("test")
    wrong = [*train.limit(8).values("id"), *test.limit(2).values("id")]
    right = dataset.select(wrong, ordered=True).values("ground_truth.label")
    for field in ("ground_truth.label", "imported_label"):  # they were wrong in the folders
        dataset.set_values(field, dict.fromkeys(wrong, "digit 2"), key_field="id")
    fg.fine_tune(dataset, "naive", **FEW)
    for sample_id, label in zip(wrong, right, strict=True):
        fg.review(dataset.select(sample_id), "relabel", label)
    out = train.skip(8).first().id
    fg.review(dataset.select(out), "exclude")
    fg.fine_tune(dataset, "late", **FEW)
    paths = dict(zip(*dataset.values(["id", "filepath"]), strict=True))

    def learned(labels: str) -> dict[str, str]:
        recipe = make_recipe("default", **FEW)
        classes, found, _ = training_data(dataset, "ground_truth", recipe, labels=labels)
        return dict(zip(found.images.paths, (classes[i] for i in found.labels), strict=True))

    now, then = learned(CURRENT), learned(BEFORE_REVIEW)
    assert [now[paths[i]] for i in wrong[:8]] == right[:8]
    assert [then[paths[i]] for i in wrong[:8]] == ["digit 2"] * 8
    changed = {paths[i] for i in wrong[:8]}
    assert {x: y for x, y in then.items() if x not in changed | {paths[out]}} == {
        x: y for x, y in now.items() if x not in changed
    }
    assert paths[out] in then  # nothing had been left out
    # A training that is interrupted is resumed with the same labels.
    with pytest.raises(fg.CancelledError):
        fg.retrain(dataset, "late", labels=BEFORE_REVIEW, progress=cancelled_at(0.5))
    found = fg.retrain(dataset, "late", labels=BEFORE_REVIEW)
    assert (found.a, found.b) == ("late_before_review", "late")
    before = fg.load_run(dataset, "late_before_review")
    assert (before.labels, fg.load_run(dataset, "late").labels) == (BEFORE_REVIEW, CURRENT)
    # It is the run that was trained before the reviews.
    weights = [fg.load_run(dataset, x).load_model().state_dict() for x in ("naive", before.key)]
    assert all((weights[0][key] == value).all() for key, value in weights[1].items())
    assert found.pairs.count == len(test)
    fg.predict(test, before.key, prediction_field="before", heatmaps=())
    pairs = zip(*test.values(["before.label", "ground_truth.label"]), strict=True)
    assert found.pairs.right_a == sum(p == y for p, y in pairs)  # with the corrected labels
    assert found.notes[0].startswith(
        "8 of 10 corrected labels are of samples tagged 'train': only these change what the "
        "network learns. "
    )
    # It is not the newest one, which is used, retrained and called stale.
    assert runs.newest_run(dataset) == "late"
    assert before.key not in [one.name for one in stale_values(dataset)]
    for run, labels, message in (
        ("naive", BEFORE_REVIEW, "'naive' was trained before labels were corrected"),
        (before.key, CURRENT, "was trained on the labels before review, to be compared"),
        ("late", "before review", "or 'before_review', not 'before review'. Did you mean 'before_"),
    ):
        with pytest.raises(ValueError, match=message):
            fg.retrain(dataset, run, labels=labels)
    fg.undo_review(dataset, count=len(fg.list_reviews(dataset)))
    with pytest.raises(ValueError, match="No label in 'ground_truth' was changed by a review"):
        fg.fine_tune(dataset, "x", labels=BEFORE_REVIEW, **FEW)


def test_the_name_of_a_repeated_run_does_not_grow():
    for key in ("a", "a_corrected", "a_corrected_2", "a_before_review"):
        assert repeated(key, CURRENT) == "a_corrected"
        assert repeated(key, BEFORE_REVIEW) == "a_before_review"
    assert repeated("a_corrected_once", CURRENT) == "a_corrected_once_corrected"
    assert repeated("_corrected", CURRENT) == "_corrected_corrected"


def test_samples_that_are_left_out_are_neither_trained_on_nor_split(digits, name, capsys):
    dataset = fg.import_folders(str(digits), name)
    fg.review(dataset.limit(5), "exclude")
    fg.review(dataset.skip(5).limit(4), "unclear")
    counts = fg.split(dataset, {"train": 0.5, "val": 0.5})
    assert "Left out by reviews: 5 excluded, 4 unclear" in capsys.readouterr().out
    assert sum(counts[x]["digit 0"] for x in counts) == 21
    assert dataset.limit(9).count_sample_tags() == {}
    counts = fg.split(dataset, {"train": 0.5, "val": 0.5}, include_excluded=True)
    assert sum(counts[x]["digit 0"] for x in counts) == 30
    recipe = make_recipe("default", **QUICK)
    out = set(dataset.limit(9).values("filepath"))
    for tag, place in (("train", 1), ("val", 2)):
        tagged = set(dataset.match_tags(tag).values("filepath"))
        for include in (False, True):
            found = training_data(dataset, "ground_truth", recipe, include)[place]
            assert set(found.images.paths) == (tagged if include else tagged - out)


def test_only_rows_with_images_have_a_button(panel):
    found = compared(Pairs(79, 76, 78, 1, 3, 0), "first", "second") | {"notes": ["One", "Two"]}
    drawn = types.Object()
    draw_compared(drawn, found, panel.on_show_compared, "job 1")
    headline, table, verdict = drawn.to_json()["properties"].values()
    assert headline["default"].startswith("**'first' is right on 76 of 79 images")
    (button,) = table["view"]["row_actions"]
    assert (button["name"], button["label"]) == ("job 1", "Show")
    assert list(button["rows"]) == [True, True, True, False]
    assert [row["count"] for row in table["default"]] == ["75", "3", "1", "0"]
    assert verdict["default"].endswith(".\n\n- One.\n- Two.")
