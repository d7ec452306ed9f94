"""Forms of datasets that lack something, and of choices that few make: what they show and say."""

import os
from dataclasses import replace

import fiftyone as fo
import pytest
from fiftyone.operators import types
from form_errors import BY_NAME, context, errors, form, words
from made_runs import digits_with_two_runs

import fiftyone_gradcam as fg
from fiftyone_gradcam.app.operators import heatmaps, recipe_fields
from fiftyone_gradcam.app.operators.forms import new_key_check
from fiftyone_gradcam.dataset import run_files, runs
from fiftyone_gradcam.dataset.files import run_folder
from fiftyone_gradcam.dataset.storing import Declared, declare


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Twelve digits in three classes, with two runs; the first has predicted all."""
    yield from digits_with_two_runs(tmp_path_factory.mktemp("rare") / "digits", "rare forms")


@pytest.fixture
def bare(name):
    """A sample without a label."""
    bare = fo.Dataset(name)
    bare.add_sample(fo.Sample("/x.png"))
    yield bare
    bare.delete()


# What is missing


@pytest.mark.parametrize(
    ("verbs", "name", "said"),
    [
        (
            ("fine_tune", "split", "find_label_issues", "find_anomalies", "export_folders",
             "preview_augmentation", "find_learning_rate", "sanity_check"),
            "no_label_field",
            "{!r} has no labels yet. Import labeled folders first",
        ),
        (("review",), "no_labels", "There are no labels here. Import labeled folders first"),
        (
            ("retrain", "evaluate", "export_run", "rename_run", "delete_run"),
            "no_runs",
            "There are no runs yet. Train a classifier first",
        ),
        (
            ("compare_runs",),
            "too_few",
            "Comparing takes two runs. Train another classifier first",
        ),
        (
            ("lowest_scores", "highest_scores", "mistakes"),
            "no_predictions",
            "There are no predictions yet. Predict first",
        ),
        (
            ("export_overlays", "mean_heatmaps", "explanation_quality"),
            "no_heatmaps",
            "There are no heatmaps yet. Predict first",
        ),
    ],
)  # fmt: skip
def test_a_form_without_what_it_needs_says_so_and_nothing_else(bare, verbs, name, said):
    for verb in verbs:
        fields = form(verb, bare, advanced=True)
        assert errors(fields) == {name: said.format(bare.name)}, verb
        assert [*fields] == [name], verb


def test_labels_that_no_sample_has_yet(bare):
    declare(bare, "own", Declared("classification", "", {}, {}))
    assert errors(form("find_anomalies", bare)) == {"no_labels": "No sample has a label in 'own'"}
    assert errors(form("split", bare))["no_labels"] == "No sample here has a label in 'own'"
    selected = bare.values("id")
    asked = BY_NAME["predict"].resolve_input(context(bare, selected=selected)).type.properties
    labels = [choice.label for choice in asked["view_target"].view.choices]
    assert labels == ["The one sample", "1 of 1 samples: selected"]


def test_views_are_saved_of_predictions_or_of_label_issues(bare, dataset):
    said = {"nothing": "There are no predictions yet. Predict first"}
    assert errors(form("save_views", bare)) == said
    declare(bare, "label_quality", Declared("float", "", {"label_field": "own"}, {}))
    fields = form("save_views", bare)
    assert [*fields] == ["overwrite"]
    assert errors(fields) == {}
    fields = form("save_views", dataset)
    assert fields["prediction_field"].type.values == ["prediction"]
    assert errors(fields) == {}


def test_the_normal_class_is_waited_for(dataset):
    fields = form("find_anomalies", dataset)
    assert errors(fields) == {"no_normal": "Choose the normal class"}
    assert fields["normal"].type.values == ["digit 0", "digit 1", "digit 2"]
    assert [*fields] == ["normal", "no_normal", "heatmaps", "advanced"]
    assert errors(form("find_anomalies", dataset, normal="digit 1")) == {}


# Runs


def test_two_different_runs_are_compared(dataset):
    both = {"a": "first", "b": "second"}
    for chosen, said in (
        ({}, {}),
        (both, {}),
        ({**both, "a": "second"}, {"same": "Choose two different runs"}),
    ):
        assert errors(form("compare_runs", dataset, **chosen)) == said


def test_a_run_is_deleted_with_its_fields_or_without(dataset):
    for chosen, more in (({}, ", its predictions and its heatmaps"), ({"fields": False}, "")):
        fields = form("delete_run", dataset, key="first", **chosen)
        assert isinstance(fields["gone"].view, types.Warning)
        assert words(fields["gone"]) == (
            f"The weights, curves and record of 'first'{more} will be deleted. This cannot be "
            f"undone"
        )
        assert fields["fields"].default is True


def test_the_name_of_a_run_is_new(dataset):
    rename = {"key": "first"}
    assert errors(form("rename_run", dataset, **rename)) == {"no_new_key": "New name is missing"}
    assert errors(form("rename_run", dataset, **rename, new_key="b_2")) == {}
    bad = "Start the name of the run with a letter; use letters, digits and underscores"
    taken = "A run 'second' exists already. Choose another name, such as second_2"
    cut = (
        "A training 'cut' was interrupted, and can be resumed in the tab Steps. Choose another "
        "name for a new one"
    )
    state = os.path.join(run_folder(dataset, "cut"), run_files.STATE)
    os.makedirs(os.path.dirname(state))
    with open(state, "w"):
        pass
    try:
        for key, said in (
            ("2b", {"bad_key": bad}), ("second", {"taken_key": taken}), ("cut", {"taken_key": cut}),
        ):  # fmt: skip
            assert errors(form("rename_run", dataset, **rename, new_key=key)) == said
            assert errors(form("import_run", dataset, folder="", key=key)).items() >= said.items()
            inputs = types.Object()
            new_key_check(context(dataset), inputs, key, resumes=True)
            assert errors(inputs.properties) == ({} if key == "cut" else said)
        assert errors(form("retrain", dataset, run="first", key="cut")) == {}  # goes on with it
    finally:
        os.remove(state)
    inputs = types.Object()
    for key in (None, ""):
        new_key_check(context(dataset), inputs, key)
    assert inputs.properties == {}


def test_a_run_that_is_imported(dataset, bare, tmp_path):
    waits = "Choose the network"
    fields = form("import_run", dataset, folder=str(tmp_path))
    said = f"{str(tmp_path)!r} is not an exported run: it has no run.json"
    assert errors(fields) == {"no_export": said}
    assert fields["key"].view.placeholder == "the name that it had"
    assert "no_export" not in form("import_run", dataset)
    fields = form("import_run", dataset, way="weights")
    assert errors(fields) == {"no_weights_file": "Weights file is missing", "no_backbone": waits}
    assert fields["key"].view.placeholder == "imported"
    classes = fields["class_names"].view.placeholder
    assert classes == "the classes of ground_truth, in alphabetical order"
    assert fields["image_size"].view.placeholder == "the network's"
    fields = form("import_run", dataset, way="weights", backbone="resnet18")
    assert fields["key"].view.placeholder == "resnet18"
    assert "no_backbone" not in fields
    fields = form("import_run", bare, way="weights")
    assert fields["class_names"].view.placeholder == "ants, bees"


# Choices


def test_the_fields_of_a_search_for_wrong_labels_follow_its_method(dataset, name):
    few = ["summary", "backbone", "advanced"]
    fields = form("find_label_issues", dataset)
    assert ([*fields], errors(fields)) == (few, {})
    assert words(fields["summary"]) == "12 labels in 3 classes will be checked"
    fields = form("find_label_issues", dataset, view=dataset.limit(1))
    assert words(fields["summary"]) == "1 label in 1 class will be checked"
    more = {"advanced": True}
    fields = form("find_label_issues", dataset, **more, method="folds")
    assert [*fields] == [*few, "method", "folds", "epochs", "seed"]
    fields = form("find_label_issues", dataset, **more, method="features")
    assert [*fields] == [*few, "method"]
    clone = dataset.clone(name)
    clone.set_values("seen", [[1.0, n] for n in range(12)])
    chosen = {**more, "embeddings": "seen", "epochs": 3, "method": "automatic"}
    fields = form("find_label_issues", clone, **chosen)
    assert [*fields][:3] == ["summary", "embeddings", "advanced"]
    assert fields["method"].type.values == ["automatic", "features", "folds"]
    found = BY_NAME["find_label_issues"].arguments(context(clone, **chosen))
    assert {*found} == {"samples", "label_field", "folds", "seed", "embeddings"}


def test_equal_files_are_found_without_a_network(dataset):
    assert [*form("find_leaks", dataset)] == ["near", "backbone"]
    assert [*form("find_leaks", dataset, near=False, backbone="resnet18")] == ["near"]
    ctx = context(dataset, near=False, backbone="resnet18")
    found = BY_NAME["find_leaks"].arguments(ctx)
    assert (found.pop("near"), {*found}) == (False, {"samples"})


def test_a_test_of_heatmaps_says_how_long_it_takes(dataset, monkeypatch):
    for most, kind in ((12, types.Notice), (11, types.Warning)):
        monkeypatch.setattr(heatmaps, "MANY", most)
        fields = form("explanation_quality", dataset)
        assert type(fields["slow"].view) is kind
        assert words(fields["slow"]) == "About 70 forward passes for each of 12 images"


def test_a_report_is_about_the_newest_run_or_a_chosen_one(dataset):
    assert form("report", dataset)["run"].type.values == ["automatic", "first", "second"]
    for run, given in ((None, None), ("automatic", None), ("", None), ("first", "first")):
        found = BY_NAME["report"].arguments(context(dataset, out="/x.html", run=run))
        assert (found["run"], found["overwrite"], found["out"]) == (given, False, "/x.html")


def test_a_run_that_is_gone_is_not_offered(dataset):
    said = {"wrong_run": "Classifier: 'gone' is not among second, first, pretrained classifier"}
    assert errors(form("predict", dataset, run="gone", advanced=True)) == said
    said = {"wrong_key": "Run: 'gone' is not among first, second"}
    assert errors(form("rename_run", dataset, key="gone", new_key="b")) == said


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"train": 0.9}, {"too_much": "The shares add up to 1.3, over 1"}),
        ({"train": 0.6, "val": 0.3, "test": 0.1}, {}),
        ({"train": 0}, {"no_train": "Without training images nothing can be trained"}),
        (
            {"way": "counts", "count_train": 1, "count_val": 1, "count_test": 0},
            {"too_few": "One image of each class is too few to train on"},
        ),
        ({"way": "counts", "count_train": 2, "count_val": 1, "count_test": 0}, {}),
        (
            {"way": "counts", "count_train": 0, "count_val": 0, "count_test": 0},
            {"no_train": "Without training images nothing can be trained"},
        ),
        ({"way": "folds", "train": 9, "count_train": 1}, {}),
    ],
)
def test_sizes_of_a_split_that_cannot_be(dataset, chosen, said):
    fields = form("split", dataset, **chosen)
    if chosen.get("way") != "folds":
        assert errors(fields) == said
    assert ("preview" in fields) == (not said)
    sizes = {"way": "counts", **chosen} if "way" in chosen else {}
    names = {"counts": "count_train", "folds": "folds"}.get(sizes.get("way"), "train")
    assert {"count_train", "folds", "train"} & {*fields} == {names}


# Networks


def test_weights_of_a_run_are_kept_for_its_own_network_alone(dataset, name, monkeypatch):
    clone = dataset.clone(name)
    own = runs.load_run(dataset, "first")
    recipe = {**own.recipe, "backbone": "resnet18", "weights": "/w.pth"}
    runs.save_run(clone, replace(own, key="third", dataset_name=clone.name, recipe=recipe))
    monkeypatch.setattr(recipe_fields, "default_backbone", lambda: "mobilenet_v2")

    def found(**params) -> tuple[str, str, str, str]:
        ctx = context(clone, **params)
        inputs = types.Object()
        BY_NAME["sanity_check"].form(ctx, inputs)
        given = BY_NAME["sanity_check"].arguments(ctx)
        shown = [inputs.properties[x].view.choices[0].label for x in ("backbone", "weights")]
        return *shown, given.get("backbone"), given.get("weights")

    repeated = {"recipe": "run third"}
    shown = "As in run third: resnet18"
    assert found(**repeated) == (shown, "As in run third: the file /w.pth", "resnet18", "/w.pth")
    _, weights, *given = found(**repeated, backbone="vgg16")
    assert weights.startswith("As in run third: ImageNet if possible (")
    assert given == ["vgg16", "auto"]
    # A network whose weights are on this machine is trained unless another one is named.
    shown, weights, *given = found()
    assert shown == "Automatic: mobilenet_v2, whose weights are on this machine"
    assert given == ["mobilenet_v2", None]
    assert found(backbone="vgg16")[2:] == ("vgg16", None)
    assert found(backbone="vgg16", weights="none")[2:] == ("vgg16", "none")


def test_samples_are_selected_before_they_are_reviewed(dataset):
    ids = dataset.values("id")[:1]
    said = {"none_selected": "Select samples in the grid first"}
    assert errors(form("review", dataset)) == said
    for chosen, waits in (
        ({}, {"no_decision": "Choose a decision"}),
        ({"decision": "relabel"}, {"no_class": "Choose the class, or name a new one"}),
        ({"decision": "relabel", "new_class": "x"}, {}),
        ({"decision": "relabel", "label": "digit 0"}, {}),
        ({"decision": "keep"}, {}),
    ):
        fields = form("review", dataset, selected=ids, **chosen)
        assert errors(fields) == waits
        assert ("new_class" in fields) == (chosen.get("decision") == "relabel")
        assert words(fields["count"]) == "1 selected samples, labels in 'ground_truth'"
    with pytest.raises(ValueError, match="Select samples in the grid first"):
        BY_NAME["review"].arguments(context(dataset, decision="keep"))
    assert fg.list_reviews(dataset) == []
