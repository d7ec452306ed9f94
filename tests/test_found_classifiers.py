"""Which classifier is meant, the labels it is compared with, and how labels are judged, by hand."""

import re
from dataclasses import replace
from types import SimpleNamespace

import fiftyone as fo
import numpy as np
import pytest
import torch

from fiftyone_gradcam.dataset import runs
from fiftyone_gradcam.dataset.apart import check_apart
from fiftyone_gradcam.dataset.cached import cached, forget
from fiftyone_gradcam.dataset.classifiers import find_classifier, own_labels, way_before
from fiftyone_gradcam.dataset.comparisons import MOST_CLASSES, keep_comparison, newest_comparison
from fiftyone_gradcam.dataset.fields import describe_field
from fiftyone_gradcam.dataset.image_facts import ImageFacts, _sizes
from fiftyone_gradcam.dataset.imported_weights import facts_of_weights
from fiftyone_gradcam.dataset.issues import write_label_issues
from fiftyone_gradcam.dataset.judging import JudgingMethod, check_method, method_for
from fiftyone_gradcam.dataset.run import Run, pretrained
from fiftyone_gradcam.images.decode import ImageError
from fiftyone_gradcam.review.comparison import Pairs
from fiftyone_gradcam.review.kinds import Issue
from fiftyone_gradcam.training.recipe import Recipe

RECIPE = Recipe(backbone="small_cnn", weights="none")


@pytest.fixture
def dataset(name) -> fo.Dataset:
    """Samples with the labels "a", "b", "c" and none."""
    dataset = fo.Dataset(name)
    for place, label in enumerate(("a", "b", "c", None)):
        sample = fo.Sample(filepath=f"/home/{place % 2}/{place}.png")
        sample["own"] = label and fo.Classification(label=label)
        dataset.add_sample(sample)
    return dataset


def save(dataset, key: str, **facts) -> Run:
    """Record a run that nobody trained, whose weights do not exist."""
    run = Run(key, dataset.name, ["a", "b"], RECIPE.to_dict(), [], 0, "own", "/gone.pt")
    return runs.save_run(dataset, replace(run, **facts))


def refused(message: str, kind: type = ValueError):
    return pytest.raises(kind, match=f"^{re.escape(message)}$")


def test_a_key_is_a_run_and_a_name_that_none_has_is_a_backbone(dataset):
    run = save(dataset, "r")
    own = save(dataset, "squeezenet1_1")
    for found in (find_classifier(dataset, "r"), find_classifier(dataset, run)):
        assert found == run
    assert find_classifier(dataset[:1], "squeezenet1_1") == own
    backbone = find_classifier(dataset, "squeezenet1_1", "imagenet")
    assert (backbone.key, backbone.version) == ("squeezenet1_1/imagenet", "imagenet, squash")
    assert find_classifier(dataset, "squeezenet1_0").version == "imagenet, squash"
    assert find_classifier(dataset, "squeezenet1_0", resize="auto").version == "imagenet, squash"
    assert find_classifier(dataset, "squeezenet1_0", resize="crop").version == "imagenet, crop"
    assert find_classifier(dataset, backbone) is backbone
    with pytest.raises(ValueError, match="resize .*'x'"):
        find_classifier(dataset, "squeezenet1_0", resize="x")
    message = "weights and resize are for a pretrained backbone; run 'r' is used as it was trained."
    for given in ({"weights": "imagenet"}, {"resize": "crop"}):
        with refused(f"{message} Leave them out"):
            find_classifier(dataset, run, **given)
    with pytest.raises(ValueError, match="has no training run 'small_cnn'"):
        find_classifier(dataset, "small_cnn")  # it has no weights


def test_a_run_that_was_trained_again_is_not_used_by_what_was_loaded_before(dataset):
    run = save(dataset, "r")
    elsewhere = replace(run, dataset_name="elsewhere", trained="2020")
    assert find_classifier(dataset, elsewhere) is elsewhere
    made = replace(run, trained=None)
    assert find_classifier(dataset, made) is made
    with refused("Run 'r' was trained again since you looked it up. Pass its key instead"):
        find_classifier(dataset, replace(run, trained="2020"))
    dataset.delete_run("r")
    with pytest.raises(ValueError, match="has no training run 'r'"):
        find_classifier(dataset, run)


def test_labels_are_indexes_of_the_classes_of_a_run(dataset, capsys):
    run = save(dataset, "r")
    field, indexes = own_labels(dataset, run, None)
    assert (field, indexes.tolist()) == ("own", [0, 1, -1, -1])
    words = "1 sample has a class that 'r' does not know, and no label_score: c\n"
    assert capsys.readouterr().out == words
    assert own_labels(dataset[:2], run, "own")[1].tolist() == [0, 1]
    assert own_labels(dataset[3:], run, "own")[1].tolist() == [-1]
    assert capsys.readouterr().out == ""
    message = "Run 'r' was trained on other classes (a, b) than 'own' holds (c). Choose another run"
    with refused(f"{message}, or another label_field"):
        own_labels(dataset[2:], run, None)
    network = pretrained(dataset, "squeezenet1_1", "imagenet", "crop")
    assert own_labels(dataset, network, "own")[1].tolist() == [-1] * 4
    assert "3 samples have classes that 'squeezenet1_1/imagenet' does" in capsys.readouterr().out
    gone = replace(run, label_field="gone")
    field, indexes = own_labels(dataset[:2], gone, None)  # there are no labels yet
    assert (field, indexes.tolist()) == ("gone", [-1, -1])
    assert own_labels(dataset[:2], gone, "own")[1].tolist() == [0, 1]
    with pytest.raises(ValueError, match="^'gone' is not a classification field"):
        own_labels(dataset, run, "gone")


def test_the_resize_of_stored_values_is_that_of_the_same_network_and_weights(dataset):
    run = pretrained(dataset, "squeezenet1_1", "imagenet", "crop")
    for facts, way in (
        ({"run": run.key, "version": "imagenet, letterbox"}, "letterbox"),
        ({"run": run.key, "version": "imagenet, unknown"}, None),
        ({"run": run.key, "version": "letterbox"}, None),
        ({"run": run.key}, None),
        ({"run": "other", "version": "imagenet, letterbox"}, None),
    ):
        describe_field(dataset, "own", "by hand", **facts)
        assert way_before(dataset, run, "own") == way


def test_ways_of_judging_exclude_each_other():
    some = np.eye(2)
    check_method(None, None, None, None, None)
    check_method("features", some, None, None, None)
    check_method("fine-tune", None, None, "resnet18", "imagenet")
    check_method(None, None, some, None, None)
    listed = "'features', 'folds', 'fine-tune'"
    with refused(f"method 'x' is not one of {listed}."):
        check_method("x", None, None, None, None)
    with refused(f"method 'fold' is not one of {listed}. Did you mean 'folds'?"):
        check_method("fold", None, None, None, None)
    with refused("Pass embeddings or weights='x', not both: the network would not be used"):
        check_method(None, some, None, None, "x")
    for place, name in ((0, "method"), (3, "backbone"), (4, "weights")):
        given = [None, None, some, None, None]
        given[place] = "folds"
        message = f"Pass probabilities or {name}='folds', not both: probabilities replace it"
        with refused(message):
            check_method(*given)
    with refused("Pass embeddings or method='fine-tune', not both: fine-tuning uses images"):
        check_method("fine-tune", some, None, None, None)


def test_the_method_follows_from_the_weights():
    trained = Recipe(backbone="resnet18", weights="imagenet")
    assert [method_for(None, recipe) for recipe in (None, trained, RECIPE)] == [
        "features",
        "features",
        "fine-tune",
    ]
    assert method_for("folds", None) == method_for("folds", trained) == "folds"
    assert method_for("fine-tune", trained) == method_for("fine-tune", RECIPE) == "fine-tune"
    for method in ("features", "folds"):
        with refused(
            f"method={method!r} needs features of a pretrained network, and small_cnn has "
            f"weights='none'. Choose weights or another backbone, or method='fine-tune'"
        ):
            method_for(method, RECIPE)
    by = [
        JudgingMethod("x", recipe, None, given, 5, 0, None).by
        for recipe, given in ((trained, None), (None, None), (trained, np.eye(2)), (None, [1]))
    ]
    assert by == ["resnet18", "your embeddings", "your probabilities", "your probabilities"]


def test_images_can_be_judged_if_they_were_read_and_have_features():
    nothing, some = np.empty((3, 0)), np.array([[1.0, 2], [np.nan, 2], [1, 2]])
    sizes = np.full((3, 2), 8.0)
    found = ImageFacts(None, some, nothing, nothing, sizes, {2: ImageError("x", "broken")})
    assert found.usable().tolist() == [True, False, False]
    assert [x is some for x in found.kinds()] == [True]
    found = ImageFacts(None, nothing, some, nothing, sizes)
    assert found.usable().tolist() == [True] * 3
    assert [x is some for x in found.kinds()] == [True]
    both = ImageFacts(None, some * 2, some, nothing, sizes).kinds()
    assert both[0] is some  # thumbnails come first
    assert ImageFacts(None, nothing, nothing, nothing, sizes).kinds() == []


def test_sizes_of_images_are_those_of_their_metadata(dataset):
    sample = dataset.first()
    sample.metadata = fo.ImageMetadata(width=8, height=6)
    sample.save()
    found = _sizes(dataset, dataset.values("id")[1::-1])
    assert found.shape == (2, 2)
    assert (np.isnan(found[0]).all(), found[1].tolist()) == (True, [8, 6])


def test_weights_from_elsewhere_are_those_of_named_classes_or_of_all_labels(
    dataset, tmp_path, capsys
):
    path = str(tmp_path / "weights.pt")
    torch.save({"x": torch.zeros(1)}, path)
    dataset.clone_sample_field("own", "ground_truth")

    def facts(*given) -> tuple:
        found = facts_of_weights(dataset, path, *given)
        recipe = found["recipe"]
        sizes = (recipe["image_size"], recipe["resize"], recipe["weights"])
        return found["classes"], found["label_field"], sizes

    usual = Recipe(backbone="resnet18", weights="none").image_size
    assert facts("resnet18", None, None, None, None) == (
        ["a", "b", "c"],
        "ground_truth",
        (usual, "crop", "none"),
    )
    assert capsys.readouterr().out == "Using the classes of 'ground_truth' in alphabetical order\n"
    assert facts("resnet18", ["x", "a"], "own", 64, "squash") == (
        ["x", "a"],
        "own",
        (64, "squash", "none"),
    )
    assert capsys.readouterr().out == ""
    dataset.delete_sample_field("ground_truth")
    assert facts("resnet18", ["x", "a"], None, 64, None)[1] == "ground_truth"  # may come later
    with pytest.raises(ValueError, match="^'ground_truth' is not a classification field"):
        facts("resnet18", None, None, None, None)
    with pytest.raises(ValueError, match="^'gone' is not a classification field"):
        facts("resnet18", ["x", "a"], "gone", None, None)
    with refused("Pass backbone=, the network of the weights, such as 'resnet18'"):
        facts(None, ["x", "a"], "own", None, None)


def test_issues_are_stored_with_what_is_judged_and_taken_from_what_is_not(dataset):
    ids = dataset.values("id")
    names = ("quality", "other", "what")

    def write(judged, unjudged, wrong, issues, vouched=()) -> None:
        found = SimpleNamespace(
            suggested=np.array([1, 0]),
            suggested_score=np.array([0.75, 0.5]),
            quality=np.array([0.25, 0.5]),
            issues=np.array(wrong),
        )
        verdict = SimpleNamespace(issues=found)
        write_label_issues(
            dataset, ids, judged, unjudged, verdict, issues, ["a", "b"], names, "own", vouched
        )

    dark = Issue("dark", 0.5, "mean 3")
    wrong = Issue("wrong label", 0.75, "like b", (2, 1), True)
    write({0: 0, 1: 1}, ids[2:], [True, False], {0: wrong, 3: dark})
    assert dataset.values("quality") == [0.25, 0.5, None, None]
    assert dataset.values("other.label") == ["b", None, None, None]
    assert dataset.values("other.confidence") == [0.75, None, None, None]
    assert dataset.values("what.label") == ["wrong label", None, None, "dark"]
    first = dataset.first()["what"]
    assert (first.confidence, first.evidence, first.sure) == (0.75, "like b", True)
    assert first.neighbors == [ids[2], ids[1]]
    assert dataset.last()["what"].sure is False
    facts = dataset.get_field("what").info
    assert (facts["classes"], facts["label_field"]) == (["a", "b"], "own")
    write({3: 0, 1: 1}, ids[:1], [False, True], {1: dark, 3: dark}, [1])
    assert dataset.values("quality") == [None, 1.0, None, 0.25]
    assert dataset.values("other.label") == [None] * 4
    assert dataset.values("what.label") == [None, None, None, "dark"]


def test_a_folder_with_images_of_the_dataset_is_not_written_into(dataset, tmp_path):
    for folder, inner in (("/home", "/home/0"), ("/home/1", "/home/1"), ("/", "/home/0")):
        message = (
            f"{folder!r} holds images of {dataset.name!r}, such as those in {inner!r}. New ones "
            f"would be mixed with them. Choose another folder"
        )
        with refused(message):
            check_apart(dataset, folder)
    for folder in ("/hom", "/home/00", "/home/1/x", str(tmp_path)):
        check_apart(dataset, folder)
    (tmp_path / "link").symlink_to("/home")
    with pytest.raises(ValueError, match="link' holds images of .* such as those in '/home/0'"):
        check_apart(dataset, str(tmp_path / "link"))


def test_what_was_computed_is_kept_until_the_dataset_changes(dataset):
    calls = []

    def made(key: str = "x", state: tuple = ()) -> int:
        return cached(dataset, (key,), lambda: calls.append(key) or len(calls), state)

    assert [made(), made(), made("y"), made()] == [1, 1, 2, 1]
    assert [made(state=("own",)), made(state=("own",)), made()] == [3, 3, 4]
    sample = dataset.first()
    sample.tags = ["x"]
    sample.save()
    assert [made(), made()] == [5, 5]
    describe_field(dataset, "own", "by hand")
    assert [made(), made()] == [6, 6]
    forget()
    assert made() == 7


def test_the_newest_comparison_is_of_both_runs_as_they_are(dataset):
    one, two, three = (save(dataset, key) for key in ("one", "two", "three"))
    pairs = Pairs(4, 3, 2, 2, 1, 0)
    classes = {f"class {place}": Pairs(place, 0, 0, 0, 0, 0) for place in range(MOST_CLASSES + 1)}
    keep_comparison(dataset, one, two, "own", pairs, classes, ["A note"])
    found = newest_comparison(dataset, one)
    assert (found.a, found.b, found.pairs, found.notes) == ("one", "two", pairs, ["A note"])
    assert found.classes == dict(list(classes.items())[:MOST_CLASSES])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", found.made)
    assert newest_comparison(dataset, three) is newest_comparison(dataset, None) is None
    keep_comparison(dataset, three, one, "own", pairs, {}, [])
    assert [newest_comparison(dataset, x).b for x in (one, two, three)] == ["one", "two", "one"]
    dataset.rename_sample_field("own", "truth")
    notes = newest_comparison(dataset, two).notes
    assert notes == ["Labels have changed since: compare the runs again", "A note"]
    dataset.delete_run("three")
    assert newest_comparison(dataset, one).b == "two"
    assert newest_comparison(dataset, three) is None
