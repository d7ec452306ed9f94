"""What all forms have in common: which samples they mean, their words, networks, files, runs."""

import os
from dataclasses import fields as fields_of

import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import pytest
from conftest import REPOSITORY, save_digits
from form_fields import FORMS as WITH_FIELDS
from form_fields import wrong_fields
from made_runs import digits_with_two_runs, make_run
from test_operators import OF_LABELS, OF_RUNS, URI, VERBS

import fiftyone_gradcam as fg
from fiftyone_gradcam.app.operators import training_time
from fiftyone_gradcam.app.operators.forms import new_key_check
from fiftyone_gradcam.app.operators.recipe_fields import CHOICES
from fiftyone_gradcam.app.operators.split_preview import parts_of
from fiftyone_gradcam.training.recipe import Recipe
from fiftyone_gradcam.workflow.exporting_folders import folder_counts

FORMS = [*VERBS, *OF_RUNS, *OF_LABELS, "relocate", "compute_embeddings"]
APP = REPOSITORY / "fiftyone_gradcam" / "app"
SMALL = ("squeezenet1_0", "squeezenet1_1", "mobilenet_v2")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Twelve digits in two splits, with two runs; the first has predicted all."""
    yield from digits_with_two_runs(tmp_path_factory.mktemp("forms") / "digits", "forms")


@pytest.fixture
def in_app(monkeypatch):
    """As in the App's server."""
    monkeypatch.setenv("FIFTYONE_SERVER", "1")


def context(verb: str, dataset, view=None, selected=(), **params) -> foo.executor.ExecutionContext:
    request = {"dataset_name": dataset.name, "params": params, "selected": list(selected)}
    if view is not None:
        request["view"] = view._serialize()
    return foo.executor.ExecutionContext(request_params=request, operator_uri=URI + verb)


def form(verb: str, dataset, **options) -> dict:
    """The form as the App gets it, with what FiftyOne adds."""
    ctx = context(verb, dataset, **options)
    found = foo.get_operator(URI + verb).resolve_type(ctx, "inputs").to_json()
    return found["type"]["properties"]


def given(verb: str, dataset, **options) -> dict:
    return foo.get_operator(URI + verb).given(context(verb, dataset, **options))


# Which samples


def test_a_form_means_the_whole_dataset_unless_a_view_is_clearly_meant(dataset, in_app):
    view, ids = dataset.limit(5), dataset.values("id")[:2]
    of_all = {"label_field": "ground_truth"}
    for verb, params in (("fine_tune", of_all), ("split", of_all), ("find_label_issues", of_all)):
        target = form(verb, dataset, view=view, selected=ids)["view_target"]
        assert target["default"] == "DATASET"
        assert given(verb, dataset, view=view, selected=ids, **params)["samples"] == dataset
    for selected, default, count in ((ids, "SELECTED_SAMPLES", 2), ((), "DATASET", 12)):
        target = form("predict", dataset, view=view, selected=selected)["view_target"]
        assert target["default"] == default
        found = given("predict", dataset, view=view, selected=selected, run="first")
        assert len(found["samples"]) == count
    # What is long for each image, or writes a file for each, is about those that are shown.
    for verb in ("export_overlays", "mean_heatmaps", "explanation_quality"):
        for selected, default in ((ids, "SELECTED_SAMPLES"), ((), "CURRENT_VIEW")):
            shown = form(verb, dataset, view=view, selected=selected)["view_target"]
            assert shown["default"] == default
    # Where all is shown and nothing selected there is nothing to ask.
    hidden = form("predict", dataset)["view_target"]
    assert (hidden["default"], hidden["view"]["name"]) == ("DATASET", "HiddenView")


def test_an_export_means_the_whole_dataset_unless_samples_are_selected(dataset, in_app):
    view, ids = dataset.limit(5), dataset.values("id")[:2]
    for selected, default, count in ((ids, "SELECTED_SAMPLES", 2), ((), "DATASET", 12)):
        options = {"view": view, "selected": selected}
        shown = form("export_folders", dataset, **options)
        assert shown["view_target"]["default"] == default
        words = shown["preview"]["view"]["label"]
        part = f"{count} of " if count < 12 else ""
        assert words.startswith(f"Will be written: {part}12 images in ")
        found = given("export_folders", dataset, folder="x", **options)
        assert len(found["samples"]) == count


def test_an_export_says_which_folders_it_writes(dataset, in_app, tmp_path):
    assert "split_folders" not in form("export_folders", dataset)
    names, counts = ("digit 0", "digit 1", "digit 2"), (2, 1, 1)
    labels, places = dataset.values("ground_truth.label"), dict.fromkeys(names, 0)
    tags = []
    for label in labels:  # of each class two train, one val, one test
        tags.append([("train", "train", "val", "test")[places[label]]])
        places[label] += 1
    dataset.set_values("tags", tags)
    try:
        assert form("export_folders", dataset)["split_folders"]["default"] is True
        splits = ("train", "val", "test")
        inside = [f"{split}/{name}" for split in splits for name in names]
        assert folder_counts(dataset, "ground_truth") == dict(
            zip(inside, (n for n in counts for _ in names), strict=True)
        )
        for choice, folders in (({}, inside), ({"split_folders": False}, list(names))):
            words = f": 12 images in {', '.join(folders)}"
            shown = form("export_folders", dataset, **choice)["preview"]["view"]["label"]
            assert shown.replace("\\", "") == f"Will be written{words}"
            target = str(tmp_path / str(len(folders)))
            values = given("export_folders", dataset, folder=target, **choice)
            folder = fg.export_folders(**values, progress=False)
            found = [os.path.relpath(home, folder) for home, _, files in os.walk(folder) if files]
            assert sorted(found) == sorted(folders)
            outcome = foo.get_operator(URI + "export_folders").outcome(folder, values)
            assert outcome["summary"] == f"Wrote to {folder}{words}"
    finally:
        dataset.set_values("tags", [[] for _ in labels])


def test_a_form_says_how_many_samples_each_choice_has(dataset, in_app):
    view, ids = dataset.limit(5), dataset.values("id")[:2]
    target = form("predict", dataset, view=view, selected=ids)["view_target"]["view"]
    assert target["label"] == "Samples"
    assert [choice["label"] for choice in target["choices"]] == [
        "All 12 samples", "5 of 12 samples: current view", "2 of 12 samples: selected",
    ]  # fmt: skip


def test_what_is_chosen_is_taken_and_from_python_a_view_is_meant(dataset, monkeypatch):
    view = dataset.limit(5)
    found = given("split", dataset, view=view, view_target="CURRENT_VIEW")
    assert len(found["samples"]) == 5
    assert len(given("split", dataset, view=view)["samples"]) == 5  # no App is there
    monkeypatch.setenv("FIFTYONE_SERVER", "1")
    found = given("split", dataset, view=view, view_target="CURRENT_VIEW")
    assert len(found["samples"]) == 5


def test_forms_about_runs_ask_for_no_samples(dataset, in_app):
    for verb in (*OF_RUNS, "retrain", "relocate", "export_reviews", "save_views"):
        assert "view_target" not in form(verb, dataset, view=dataset.limit(5))


# Buttons and errors


@pytest.mark.parametrize("verb", FORMS)
def test_the_button_says_what_it_does_and_stands_alone(dataset, verb, monkeypatch):
    operator = foo.get_operator(URI + verb)
    view = operator.resolve_input(context(verb, dataset)).to_json()["view"]
    assert (view["name"], view["label"]) == ("PromptView", operator.config.label)
    assert view["submit_button_label"] not in ("", "Execute")
    ctx = context(verb, dataset)
    assert operator.resolve_execution_options(ctx).allow_delegated_execution == operator.is_long
    monkeypatch.setenv("FIFTYONE_SERVER", "1")
    options = operator.resolve_execution_options(ctx)
    assert not options.allow_delegated_execution  # or an arrow would offer what cannot be had
    assert options.allow_immediate_execution
    monkeypatch.setattr(fo.config, "allow_legacy_orchestrators", True)
    assert operator.resolve_execution_options(ctx).allow_delegated_execution == operator.is_long


@pytest.mark.parametrize("verb", [x for x in FORMS if x != "accept_sure"])
def test_nothing_is_red_before_anything_is_typed(dataset, verb, in_app):
    for name, field in form(verb, dataset, selected=dataset.values("id")[:2]).items():
        assert field["view"]["name"] != "Error", (verb, name)
        assert not field["required"], (verb, name)  # which is red until it is filled in


def test_what_is_missing_keeps_a_form_from_being_sent_without_a_word(dataset):
    field = form("import_folders", dataset)["no_path"]
    assert (field["view"]["name"], field["invalid"]) == ("HiddenView", True)
    assert field["error_message"] == "Folder is missing"
    with pytest.raises(Exception, match="Folder is missing"):
        foo.execute_operator(URI + "import_folders", {"dataset": dataset, "params": {}})


# Values


@pytest.fixture(scope="module")
def filled(dataset):
    """With two or more of all that a form may let choose among."""
    clone = dataset.clone("forms with all fields")
    places = range(len(clone))
    clone.set_values("other", [fo.Classification(label="xy"[i % 2]) for i in places])
    clone.set_values("seen", [np.arange(3.0) + i for i in places])
    clone.set_values("video", [f"video {i % 3}" for i in places])
    clone.set_values("tags", [["train"] for _ in places])
    for old, new in (("prediction", "found"), ("gradcam", "cam")):
        clone.clone_sample_field(old, new)
        field = clone.get_field(new)
        field.info = {**field.info, "run": "second"}
        field.save()
    fg.review(clone.limit(1), "exclude")
    fg.review(clone.skip(1).limit(1), "relabel", "digit 2")
    yield clone
    clone.delete()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder to import, with a table of four columns."""
    root = save_digits(tmp_path_factory.mktemp("filled") / "digits", per_class=2)
    names = sorted(str(path.relative_to(root)) for path in root.glob("*/*.png"))
    rows = [f"{name},{name[6]},train,{number}" for number, name in enumerate(names)]
    (root / "t.csv").write_text("\n".join(["image,label,split,other", *rows]))
    return str(root)


@pytest.mark.parametrize("verb", WITH_FIELDS)
def test_every_field_of_a_form_is_an_argument_of_its_verb(filled, folder, verb, monkeypatch):
    """With each value that may be chosen; and every argument has a field, or is for Python only."""
    speed = {"device": "cpu", "decode": 0.01, "learn": 0.01, "look": 0.01}
    measured = {"speed": speed, "image_size": 16}
    monkeypatch.setattr(training_time, "measured", lambda *_: measured)
    assert wrong_fields(verb, filled, folder) == []


def test_the_newest_run_is_offered_first(dataset):
    of_a_run = ("predict", "show_embeddings", "compute_embeddings", "export_run", "retrain")
    asked = [(verb, "run") for verb in (*of_a_run, "evaluate")]
    asked += [("rename_run", "key"), ("delete_run", "key"), ("compare_runs", "b")]
    for verb, name in asked:
        assert form(verb, dataset)[name]["default"] == "second"
    assert form("compare_runs", dataset)["a"]["default"] == "first"
    clone = dataset.clone("forms with a run to compare with")
    try:  # a run on the labels before review is only there to be compared with
        make_run(clone, "third", files=False, labels="before_review")
        for verb, name in asked:
            assert form(verb, clone)[name]["default"] == "second"
        assert form("compare_runs", clone)["a"]["default"] == "third"
        refused = form("retrain", clone, run="third")["before_review"]["error_message"]
        assert refused == "'third' was trained on the labels before review. Choose another run"
    finally:
        clone.delete()


# Files and folders


def test_a_folder_is_browsed_for_or_typed(dataset, tmp_path):
    asked = form("import_folders", dataset)["path"]
    assert (asked["type"]["name"], asked["view"]["name"]) == ("File", "FileExplorerView")
    assert asked["view"]["choose_dir"]
    browsed = {"absolute_path": str(tmp_path), "name": tmp_path.name, "type": "directory"}
    assert "no_plan" in form("import_folders", dataset, path=browsed)
    assert given("import_folders", dataset, path=browsed)["path"] == str(tmp_path)
    typed = form("import_folders", dataset, path=str(tmp_path))["path"]  # of a request
    assert typed["type"]["name"] == "String"
    assert given("import_folders", dataset, path=f" {tmp_path} ")["path"] == str(tmp_path)
    for wrong in ({"absolute_path": 3}, {"absolute_path": "a\0"}, 3, []):
        with pytest.raises(ValueError, match="path must be a string"):
            given("import_folders", dataset, path=wrong)
    for verb, name in (("export_folders", "folder"), ("export_run", "folder"),
                       ("export_overlays", "folder"), ("mean_heatmaps", "folder"),
                       ("import_run", "folder"), ("relocate", "new")):  # fmt: skip
        assert form(verb, dataset)[name]["view"]["choose_dir"]
    for verb, name, params in (
        ("fine_tune", "weights_file", {"weights": "file"}), ("export_reviews", "csv_path", {}),
        ("import_run", "weights_file", {"way": "weights"}),
    ):  # fmt: skip
        view = form(verb, dataset, **params)[name]["view"]
        assert (view["name"], view["choose_dir"]) == ("FileExplorerView", False)
    folder = {"absolute_path": str(tmp_path)}
    assert "not_empty" not in form("export_folders", dataset, folder=folder)
    (tmp_path / "x").write_text("")
    assert "not_empty" in form("export_folders", dataset, folder=folder)
    assert "no_folder" in form(
        "export_folders", dataset, folder={"absolute_path": str(tmp_path / "x")}
    )
    assert form("import_run", dataset, folder=folder)["no_export"]["invalid"]
    (tmp_path / "run.json").write_text("{}")
    assert "no_export" not in form("import_run", dataset, folder=folder)


# Errors


def test_an_error_far_down_is_shown_at_the_top_too(dataset, monkeypatch):
    def fields(lines: int, key: str) -> list[str]:
        def filled(self, ctx, inputs):
            for number in range(lines):
                inputs.str(f"line_{number}")
            new_key_check(ctx, inputs, ctx.params.get("key"))

        monkeypatch.setattr(type(foo.get_operator(URI + "fine_tune")), "form", filled)
        return [x for x in form("fine_tune", dataset, key=key) if "taken_key" in x]

    assert fields(9, "free") == []
    assert fields(1, "first") == ["taken_key"]
    assert fields(9, "first") == ["top_taken_key", "taken_key"]
    shown = form("fine_tune", dataset, key="first")
    assert shown["top_taken_key"]["view"]["label"] == shown["taken_key"]["view"]["label"]
    assert next(iter(shown)) == "top_taken_key"
    monkeypatch.undo()
    assert "top_taken_key" not in form("fine_tune", dataset, key="first")  # or it would jump


# Networks and weights


def test_a_training_is_repeated_as_a_run_was(dataset):
    assert set(CHOICES) == {x.name for x in fields_of(Recipe)}
    run = fg.load_run(dataset, "first")
    fields = form("fine_tune", dataset, recipe="run first")
    assert {"run first", "run second"} < set(fields["recipe"]["type"]["values"])
    assert fields["epochs"]["view"]["placeholder"] == str(run.recipe["epochs"])
    labels = [x["label"] for x in fields["backbone"]["view"]["choices"]]
    assert labels[0] == f"As in run first: {run.recipe['backbone']}"
    found = given("fine_tune", dataset, recipe="run first", key="again")
    known = {name: value for name, value in found.items() if name in CHOICES}
    assert Recipe(**known) == Recipe(**run.recipe)
    found = given("fine_tune", dataset, recipe="run first", key="again", epochs=9, seed=4)
    assert (found["epochs"], found["seed"]) == (9, 4)
    assert found["batch_size"] == run.recipe["batch_size"]
    with pytest.raises(ValueError, match="gone"):
        given("fine_tune", dataset, recipe="run gone")


# What comes of a split


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"train": 0.5, "val": 0.5, "test": 0.0},
        {"way": "counts", "count_train": 2, "count_val": 1, "count_test": 0},
        {"way": "folds", "folds": 4, "seed": 5},  # of some classes there are fewer images
        {"groups": "video"},
    ],
)
def test_the_form_of_a_split_shows_what_comes_of_it(dataset, name, params):
    clone = dataset.clone(name)
    clone.set_values("video", [f"video {n % 3}" for n in range(12)])
    clone.set_values("ground_truth", [None, *clone.values("ground_truth")[1:]])
    fg.review(clone.skip(4).limit(1), "exclude")
    asked = given("split", clone, **params)
    parts, unlabeled, left_out = parts_of(asked)
    shown = form("split", clone, **params)["preview"]["default"]
    made = fg.split(**asked)
    assert parts == made
    assert (unlabeled, left_out) == (1, 1)
    for part, own in made.items():
        assert f"**{sum(own.values())} {part}**" in shown
    for label in set().union(*made.values()):
        cells = " | ".join(str(own.get(label, 0)) for own in made.values())
        assert f"| {label} | {cells} |" in shown
    words = form("split", clone, **params)["notes"]["view"]["label"]
    assert "1 image without a label: no tag" in words
    assert "This replaces the split that is there" in words


def test_the_form_of_a_training_says_that_it_splits_first(dataset, name):
    clone = dataset.clone(name)
    clone.untag_samples(["train", "val", "test"])
    clone.delete_samples(clone.skip(10))
    words = form("fine_tune", clone)["summary"]["view"]["label"]
    made = fg.split(clone)
    counts = ", ".join(f"{label} {made['train'][label]}" for label in sorted(made["train"]))
    total = {part: sum(own.values()) for part, own in made.items()}
    assert total == {"train": 5, "val": 3, "test": 2}
    assert "Not split yet: the images are split into train, val and test first" in words
    assert f"{total['train']} training images ({counts}). {total['val']} validation" in words
    assert "split" not in form("fine_tune", clone)["summary"]["view"]["label"]


# Predictions of a second run


def test_a_second_run_gets_new_fields_or_replaces_those_of_the_first(dataset):
    assert "store" not in form("predict", dataset, run="first")
    field = form("predict", dataset, run="second")["store"]
    assert [x["label"] for x in field["view"]["choices"]] == [
        "In new fields: prediction_second and gradcam_second",
        "In prediction and gradcam: replaces those of first (12 samples)",
    ]
    assert field["default"] == "new"
    new = given("predict", dataset, run="second")
    assert new["prediction_field"] == "prediction_second"
    assert new["heatmap_field"] == "gradcam_second"
    old = given("predict", dataset, run="second", store="replace")
    assert (old["prediction_field"], old["heatmap_field"]) == ("prediction", "gradcam")
    own = given("predict", dataset, run="second", prediction_to="mine")
    assert (own["prediction_field"], own["heatmap_field"]) == ("mine", "gradcam_second")


# Words
