"""Forms of single operators: what they offer, what they say is missing, what they hand on."""

import base64
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import fiftyone as fo
import fiftyone.operators as foo
import pytest
import torch
from conftest import REPOSITORY, save_digits
from PIL import Image
from test_operators import OF_RUNS, URI, execute, form
from trees import TREES

import fiftyone_gradcam as fg
from fiftyone_gradcam.app.operators import import_plans
from fiftyone_gradcam.app.operators.import_folders import _words
from fiftyone_gradcam.app.operators.relocate import Relocate
from fiftyone_gradcam.app.texts import markdown
from fiftyone_gradcam.dataset.writing import import_lock
from fiftyone_gradcam.explain.methods import METHODS
from fiftyone_gradcam.explain.render import SCALES, STORAGES
from fiftyone_gradcam.images.geometry import INTERPOLATIONS, RESIZES
from fiftyone_gradcam.locks import own_folder
from fiftyone_gradcam.model.backbones import BACKBONES, get_backbone
from fiftyone_gradcam.passes.heatmaps import KINDS
from fiftyone_gradcam.workflow.relocating import Relocated


def test_the_table_of_a_plan_counts_the_classes_that_it_does_not_show(tmp_path):
    for number, last in (
        (12, "| class 11 | 1 |"),
        (13, "| and 1 more |  |"),
        (14, "| and 2 more |  |"),
    ):
        root = tmp_path / str(number)
        for place in range(number):
            (root / f"class {place:02d}").mkdir(parents=True)
            (root / f"class {place:02d}" / "1.jpg").write_bytes(b"x")
        rows = [x for x in _words(fg.plan_import(str(root))).splitlines() if x[:1] == "|"]
        assert rows[2:] == [f"| class {place:02d} | 1 |" for place in range(12)] + rows[14:]
        assert rows[-1].strip() == last


def test_forms_offer_what_the_dataset_has(trained):
    fine_tune = form("fine_tune", trained)
    assert "label_field" not in fine_tune  # the plugin's own predictions are no labels to learn
    chosen = form("fine_tune", trained, label_field="prediction")
    assert chosen["label_field"]["type"]["values"] == ["ground_truth", "prediction"]
    assert set(BACKBONES) < set(fine_tune["backbone"]["type"]["values"])
    assert "weights_file" not in fine_tune
    assert "weights_file" in form("fine_tune", trained, weights="file")
    assert "no_weights_file" in form("fine_tune", trained, weights="file", weights_file="/gone")
    assert "taken_key" in form("fine_tune", trained, key="quick")
    assert "bad_key" in form("fine_tune", trained, key="a b")
    assert "batch_size" in form("fine_tune", trained, advanced=True)
    predict = form("predict", trained)
    assert predict["run"]["type"]["values"] == ["quick", "pretrained classifier"]
    assert "backbone" not in predict
    as_it_is = form("predict", trained, run="pretrained classifier", advanced=True)
    assert "small_cnn" not in as_it_is["backbone"]["type"]["values"]
    placeholder = as_it_is["imagenet_to"]["view"]["placeholder"]
    assert placeholder == "imagenet"  # not the fields of a run
    assert as_it_is["weights"]["type"]["values"] == ["imagenet", "file"]
    assert as_it_is["resize"]["type"]["values"] == ["auto", *RESIZES]
    more = form("predict", trained, advanced=True)
    assert more["method"]["type"]["values"] == list(METHODS)
    assert more["scale"]["type"]["values"] == list(SCALES)
    assert more["interpolation"]["type"]["values"] == list(INTERPOLATIONS)
    assert more["storage"]["type"]["values"] == list(STORAGES)
    assert set(KINDS) <= set(more)
    assert form("export_overlays", trained)["heatmap_field"]["type"]["values"] == [
        "gradcam",
        "gradcam_label",
    ]
    assert form("explanation_quality", trained)["heatmap_field"]["type"]["values"] == ["gradcam"]
    taken = {"folder": str(REPOSITORY)}
    assert "not_empty" in form("export_overlays", trained, **taken)
    assert "not_empty" not in form("mean_heatmaps", trained, overwrite=True, **taken)
    labels = form("lowest_scores", trained)["label"]["type"]["values"]
    assert labels == ["digit 0", "digit 1", "digit 2"]
    assert "too_much" in form("split", trained, train=0.9, val=0.2)
    assert "no_plan" in form("import_folders", trained, path="/gone")
    assert "small_cnn" in form("find_label_issues", trained)["backbone"]["type"]["values"]
    assert "small_cnn" not in form("find_leaks", trained)["backbone"]["type"]["values"]


@pytest.mark.parametrize(
    ("verb", "given", "ending"),
    [
        ("export_folders", {}, "folders"),
        ("export_overlays", {"heatmap_field": "gradcam"}, "overlays"),
        ("mean_heatmaps", {"heatmap_field": "gradcam"}, "mean-heatmaps"),
        ("export_run", {"run": "quick"}, "run-quick"),
    ],
)
def test_an_export_without_a_folder_goes_to_the_home_folder(
    trained, tmp_path, monkeypatch, verb, given, ending
):
    monkeypatch.setenv("HOME", str(tmp_path))
    name = trained.name.replace(" ", "-")
    folder = tmp_path / f"{name}-{ending}"
    fields = form(verb, trained, **given)
    assert f"If it stays empty: {folder}" in str(fields["folder"])
    assert not {"no_folder", "not_empty"} & set(fields)
    ctx = SimpleNamespace(params=given, dataset=trained, target_view=lambda: trained)
    assert foo.get_operator(URI + verb).arguments(ctx)["folder"] == str(folder)
    folder.mkdir()
    assert "not_empty" not in form(verb, trained, **given)
    (folder / "mine.txt").touch()
    words = markdown(f"{str(folder)!r} is not empty. Choose another folder or check the box")
    assert form(verb, trained, **given)["not_empty"]["view"]["label"] == words
    assert "not_empty" not in form(verb, trained, overwrite=True, **given)
    folder = tmp_path / f"{name}-{ending}.txt"
    folder.touch()
    assert "is a file" in str(form(verb, trained, folder=str(folder), **given)["no_folder"])


def test_a_path_that_is_being_typed_is_no_error(trained, tmp_path, monkeypatch):
    for name in (*(f"photos {n}" for n in range(8)), "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "pho.txt").touch()
    found = form("import_folders", trained, path=f"{tmp_path}/pho")
    assert set(found) == {"path", "names", "goes_on"}
    listed = ", ".join(f"photos {n}" for n in range(6))
    assert found["names"]["view"]["label"] == markdown(f"In {tmp_path}: {listed} …")
    assert found["goes_on"]["invalid"]
    assert "In" in str(form("import_folders", trained, path=f"{tmp_path}/oth")["names"])
    for wrong in (f"{tmp_path}/photosx", f"{tmp_path}/gone/pho"):
        found = form("import_folders", trained, path=wrong)
        assert markdown(f"No folder at '{wrong}'") in found["no_plan"]["view"]["label"]
    assert set(form("import_folders", trained, path="/")) == {"path", "goes_on"}
    # In the App, whose server has a working folder of its own, a path is to be whole.
    monkeypatch.setenv("FIFTYONE_SERVER", "1")
    for verb, field in (("import_folders", "path"), ("export_folders", "folder")):
        found = form(verb, trained, **{field: "photos"})
        words = r"Folder: type the whole path, which begins with / or \~, not 'photos'"
        assert found[f"relative_{field}"]["view"]["label"] == words
        assert found[f"relative_{field}"]["invalid"]
    assert "relative_path" not in form("import_folders", trained, path="~")


def test_the_form_of_an_import_shows_its_plan(trained, tmp_path):
    root = save_digits(tmp_path / "d", per_class=4)
    (root / "note.txt").write_text("x")
    fields = form("import_folders", trained, path=str(root))
    words = str(fields["plan"])
    assert "12 files in 3 classes: the class is the name of the folder" in words
    assert "| digit 0 | 4 |" in words
    assert fields["name"]["view"]["placeholder"] == "d"
    assert not {"no_plan", "taken", "exists", "overwrite"} & set(fields)
    picture = Image.open(own_folder() / "import.webp")
    assert picture.width > 5 * 96
    fields = form("import_folders", trained, path=str(root), advanced=True, label_from="pattern")
    assert "no_plan" in fields
    chosen = {"path": str(root), "advanced": True, "label_from": "pattern"}
    fields = form("import_folders", trained, **chosen, pattern=r"00(?P<label>[01])")
    assert "| 0 | 3 |" in str(fields["plan"])
    assert "6 images have no class" in str(fields["warning_0"])
    taken = form("import_folders", trained, path=str(root), name=trained.name)
    assert "taken" in taken
    operator = foo.get_operator(URI + "import_folders")
    params = {**chosen, "pattern": "(?P<label>x)", "table": "left over", "skip": "*_a *_b",
              "level": "automatic"}  # fmt: skip
    ctx = foo.executor.ExecutionContext(
        request_params={"dataset_name": trained.name, "params": params}, operator_uri=URI + "i"
    )
    assert operator.arguments(ctx) == {
        "path": str(root), "label_from": "pattern", "pattern": "(?P<label>x)",
        "skip": ["*_a", "*_b"], "name": None, "label_field": "ground_truth", "overwrite": False,
        "keep_truncated": False, "max_pixels": None,
    }  # fmt: skip


def test_the_form_of_an_import_tells_of_masks_and_names(name, tmp_path):
    empty = fo.Dataset(name)
    root = tmp_path / "图片"
    TREES["masks of some classes"].make(root)
    fields = form("import_folders", empty, path=str(root))
    assert "| crack | 5 |" in str(fields["plan"])
    assert "To import them too, turn on “Keep masks”" in str(fields["warning_0"])
    assert fields["name"]["view"]["placeholder"] == "图片 images"
    assert "The folder is named '图片'; the dataset will be named '图片 images'" in str(
        fields["own_name"]
    )
    fields = form("import_folders", empty, path=str(root), advanced=True, keep_masks=True)
    assert "| crack | 10 |" in str(fields["plan"])
    assert fields["keep_masks"]["view"]["label"] == "Keep masks"
    assert "taken" in form("import_folders", empty, path=str(root), name="图片")
    TREES["splits are never classes"].make(tmp_path / "splits")
    chosen = {"advanced": True, "label_from": "folder", "split_from": "nothing"}
    fields = form("import_folders", empty, path=str(tmp_path / "splits"), **chosen)
    assert "“Splits come from”" in str(fields["no_plan"])


def test_forms_say_what_is_missing(name):
    empty = fo.Dataset(name)
    assert form("predict", empty)["run"]["default"] == "pretrained classifier"
    assert "no_heatmaps" in form("export_overlays", empty)
    assert "no_heatmaps" in form("explanation_quality", empty)
    assert "no_predictions" in form("mistakes", empty)
    assert "no_label_field" in form("fine_tune", empty)


@pytest.mark.parametrize(
    ("verb", "params", "given"),
    [
        ("export_run", {"run": "quick", "folder": "/x"}, {"overwrite": False}),
        ("export_run", {"run": "quick", "folder": "/x", "overwrite": True}, {}),
        ("import_run", {"folder": "/x", "key": "new"}, {}),
        ("import_run", {"folder": "/x", "key": ""}, {"key": None}),
        ("import_run",
         {"way": "weights", "weights_file": "/x.pt", "backbone": "resnet18", "key": "new",
          "class_names": "ant, bee", "label_field": "ground_truth", "resize": "squash"},
         {"weights": "/x.pt", "classes": ["ant", "bee"], "image_size": None}),
        ("rename_run", {"key": "quick", "new_key": "other"}, {}),
        ("delete_run", {"key": "quick"}, {"fields": True}),
        ("delete_run", {"key": "quick", "fields": False}, {}),
        ("lowest_scores", {"prediction_field": "prediction", "label": "digit 1", "count": 3}, {}),
        ("highest_scores", {"prediction_field": "p"}, {"label": None, "count": None}),
        ("mistakes", {"prediction_field": "p"}, {"include_excluded": False}),
        ("relocate", {"old": "/a", "new": "/b"}, {}),
        ("export_overlays",
         {"heatmap_field": "gradcam", "folder": "/x", "alpha": 0.0, "contact_sheet": False}, {}),
        ("split", {"label_field": "ground_truth", "way": "folds", "folds": 3, "seed": 7},
         {"way": None, "groups": None}),
        ("split", {"label_field": "ground_truth", "groups": "filename"},
         {"seed": 0, "fractions": {"train": 0.6, "val": 0.2, "test": 0.2}}),
        ("split", {"label_field": "ground_truth", "groups": "near duplicates", "embeddings": "seen",
                   "way": "folds", "folds": 2}, {"seed": 0, "way": None}),
        ("split", {"label_field": "ground_truth", "groups": "near duplicates", "folds": 2,
                   "way": "folds", "backbone": "resnet18", "weights": "imagenet"}, {"seed": 0}),
        ("split", {"label_field": "ground_truth", "backbone": "resnet18", "way": "folds"},
         {"seed": 0, "folds": 5, "groups": None}),
    ],
)  # fmt: skip
def test_what_forms_hand_to_their_verbs(trained, verb, params, given):
    view = trained.limit(5)
    ctx = foo.executor.ExecutionContext(
        request_params={
            "dataset_name": trained.name, "params": params, "view": view._serialize()
        },
        operator_uri=URI + verb,
    )  # fmt: skip
    found = foo.get_operator(URI + verb).arguments(ctx)
    samples = found.pop("samples")
    of_all = verb in (*OF_RUNS, "relocate")  # runs and files are the dataset's, not the view's
    assert samples.values("id") == (trained if of_all else view).values("id")
    of_the_form = ["way", "weights_file", "class_names"]
    if verb == "split" and params.get("groups") != "near duplicates":
        of_the_form.append("backbone")  # which nothing is compared by
    expected = {n: value for n, value in {**params, **given}.items() if n not in of_the_form}
    assert found == expected


def test_what_was_found_of_moved_files_is_counted():
    found = Relocated(moved=3, missing=["/a"], different=["/b", "/c"])
    assert Relocate().outcome(found, {"new": "/x"})["summary"] == (
        "3 of 6 samples now have their files in /x; 1 files are not there; 2 are other files"
    )


def test_a_whole_dataset_is_compared_and_evaluated_as_such(trained):
    """So that the verbs choose the samples tagged "test"; a view is taken as it is."""
    for verb, params in (("evaluate", {"run": "quick"}), ("compare_runs", {"a": "x", "b": "y"})):
        for view, target in ((None, None), (None, "CURRENT_VIEW"), (trained.limit(5), None)):
            request = {"dataset_name": trained.name, "params": params, "view_target": target}
            request |= {} if view is None else {"view": view._serialize()}
            ctx = foo.executor.ExecutionContext(request, operator_uri=URI + verb)
            samples = foo.get_operator(URI + verb).arguments(ctx)["samples"]
            assert samples.values("id") == (trained if view is None else view).values("id")
            assert isinstance(samples, fo.Dataset) is (view is None)


def test_the_form_of_fine_tune_follows_the_recipe(trained):
    from fiftyone_gradcam.app.operators.recipe_fields import AUGMENTATION, DEFAULTS, LEARNING
    from fiftyone_gradcam.training.known_recipes import RECIPES
    from fiftyone_gradcam.training.recipe import Recipe

    # The form knows the defaults without torch.
    assert {name: getattr(Recipe(), name) for name in DEFAULTS} == DEFAULTS
    for name in RECIPES:  # and offers what its recipes may have, by the rules of `Recipe`
        chosen = {"recipe": name, "advanced": True}
        fields = form("fine_tune", trained, **chosen)
        assert {choice.name for choice in (*LEARNING, *AUGMENTATION)} <= set(fields)
    for choice in (*LEARNING, *AUGMENTATION):
        for value in choice.options or (choice.least, choice.most):
            if value or choice.options:
                Recipe(**{choice.name: value})
    assert fields["brightness"]["view"]["placeholder"] == "0.3"
    assert fields["dropout"]["view"]["placeholder"] == "0.5"
    fields = form("fine_tune", trained)
    assert not {choice.name for choice in (*LEARNING, *AUGMENTATION)} & set(fields)
    assert fields["recipe"]["type"]["values"] == [*RECIPES, "run quick"]
    # 108 images are 7 steps of 16: 22 epochs are the fewest of at least 150 steps.
    assert fields["epochs"]["view"]["placeholder"] == "22 for 108 training images"
    few = form("fine_tune", trained, images_per_class=8, batch_size=4, epochs=7, advanced=True)
    assert few["epochs"]["view"]["placeholder"] == "25 for 24 training images"
    fields = form("fine_tune", trained, recipe="road-cracks-vgg16", advanced=True)
    assert fields["key"]["view"]["placeholder"] == "vgg16"
    labels = [choice["label"] for choice in fields["freeze"]["view"]["choices"]]
    assert labels[0] == "As in the recipe: the first 4 stages"
    operator = foo.get_operator(URI + "fine_tune")
    params = {"label_field": "ground_truth", "recipe": "sommelier", "horizontal_flip": "yes",
              "freeze": "automatic", "weights": "none", "images_per_class": 3,
              "rotation": 5.0, "vertical_flip": "no", "optimizer": "adam"}  # fmt: skip
    ctx = foo.executor.ExecutionContext(
        request_params={"dataset_name": trained.name, "params": params}, operator_uri=URI + "f"
    )
    given = operator.arguments(ctx)
    assert given.pop("samples") == trained
    assert given == {
        "key": "resnet50",
        "recipe": "sommelier",
        "label_field": "ground_truth",
        "horizontal_flip": True,
        "weights": "none",
        "images_per_class": 3,
        "rotation": 5.0,
        "vertical_flip": False,
        "optimizer": "adam",
    }
    # 0 is a choice, not an empty field.
    zeros = {"dropout": 0, "label_smoothing": 0.0, "weight_decay": 0.0}
    request = {"dataset_name": trained.name, "params": {**params, **zeros}}
    given = operator.arguments(foo.executor.ExecutionContext(request, operator_uri=URI + "f"))
    assert {option: given[option] for option in zeros} == zeros


def test_looks_before_a_training(trained):
    chosen = {"label_field": "ground_truth", "backbone": "small_cnn"}
    result = execute("preview_augmentation", trained, **chosen).result
    assert base64.b64decode(result["picture"].split(",")[1]) == Path(result["path"]).read_bytes()
    assert Image.open(result["path"]).format == "PNG"
    # What is filled in is seen: with all pixels turned to black or white there is no gray left.
    still = {"horizontal_flip": "no", "translation": 0, "scale": 0.0, "rotation": 0.0}
    noisy = execute("preview_augmentation", trained, **chosen, **still, noise=1.0).result
    plain = execute("preview_augmentation", trained, **chosen, **still).result
    assert noisy["path"] == plain["path"]
    assert noisy["picture"] != plain["picture"]
    small = {**chosen, "image_size": 32}
    for verb in ("sanity_check", "find_learning_rate"):
        operator = foo.get_operator(URI + verb)
        ctx = foo.executor.ExecutionContext(
            request_params={"dataset_name": trained.name, "params": small},
            executor=foo.executor.Executor(),
            operator_uri=URI + verb,
        )
        (message,) = [m.body.params["message"] for m in operator.execute(ctx)
                   if "message" in m.body.params]  # fmt: skip
        assert ("learn" if verb == "sanity_check" else "Suggested") in message


def test_a_plan_is_kept_for_a_while(monkeypatch, tmp_path):
    root, now, made = save_digits(tmp_path / "d", per_class=1), [100.0], []

    def plan(**given):
        made.append(given)
        return fg.plan_import(**given)

    monkeypatch.setattr(import_plans, "plan_import", plan)
    clock = SimpleNamespace(monotonic=lambda: now[0], time=time.time)
    monkeypatch.setattr(import_plans, "time", clock)
    given = {"path": str(root)}
    first = import_plans.plan_of(given)
    now[0] += 20
    assert import_plans.plan_of(given) is not None
    assert (len(made), len(first[0].items)) == (1, 3)
    save_digits(tmp_path / "d" / "more", per_class=1)
    now[0] += 0.5
    assert len(import_plans.plan_of(given)[0].items) == 6  # more is there by now
    import_plans.plan_of(given | {"skip": ["x"]})
    import_plans.plan_of(given)
    assert len(made) == 4  # one is kept, the last


def test_a_folder_that_takes_long_is_read_if_it_is_meant(trained, monkeypatch, tmp_path):
    root = save_digits(tmp_path / "home" / "photos", per_class=1)
    operator = foo.get_operator(URI + "import_folders")  # FiftyOne has modules of its own
    plans = sys.modules[type(operator).__module__].plan_of.__globals__
    walking, now, read = sys.modules[plans["interruptible"].__module__], [100.0], []
    own = walking._read

    def slowly(folder, *rest):
        read.append(folder)
        now[0] += 3
        return own(folder, *rest)

    monkeypatch.setattr(walking, "_read", slowly)
    monkeypatch.setitem(plans, "time", SimpleNamespace(monotonic=lambda: now[0], time=time.time))
    found = form("import_folders", trained, path=str(root))  # the folder and its three classes
    assert "choose the folder" in found["slow"]["error_message"].lower()
    assert "plan" not in found
    assert len(read) == 2  # 6 seconds
    found = form("import_folders", trained, path=str(root), patient=True)
    assert "3 files in 3 classes" in str(found["plan"])
    assert found["patient"]["type"]["name"] == "Boolean"
    assert len(read) == 2 + 4
    now[0] += 119  # it took 12 seconds, and is kept ten times as long
    form("import_folders", trained, path=str(root), patient=True, name="a")
    assert len(read) == 6
    now[0] += 2
    form("import_folders", trained, path=str(root), patient=True, name="a")
    assert len(read) == 10


def test_the_columns_of_a_plan_are_its_splits(tmp_path):
    root = save_digits(tmp_path / "d", per_class=1)
    (save_digits(tmp_path / "s" / "train", per_class=2) / "digit 0" / "000.png").unlink()
    save_digits(tmp_path / "s" / "val", per_class=1)
    header = "| class | {} |".format
    assert header("images") in _words(fg.plan_import(str(root)))
    words = _words(fg.plan_import(str(tmp_path / "s")))
    assert header("train | val") in words
    assert "| digit 0 | 1 | 1 |" in words
    assert "| digit 1 | 2 | 1 |" in words


def test_a_weights_file_that_tells_its_network_leaves_nothing_to_choose(trained, tmp_path):
    path = tmp_path / "weights.pt"
    torch.save(get_backbone("small_cnn").build(3).state_dict(), path)
    chosen = {"way": "weights", "weights_file": str(path)}
    for params, backbone, waits in (
        (chosen, "small_cnn", False),
        ({"way": "weights"}, None, True),
        ({"way": "weights", "backbone": "resnet18"}, None, False),
    ):
        fields = form("import_run", trained, **params)
        assert fields["backbone"]["default"] == backbone
        assert ("no_backbone" in fields) is waits


def test_what_an_import_has_come_to(name):
    made, operator = fo.Dataset(name), foo.get_operator(URI + "import_folders")
    for label, tag in (("a", "train"), ("b", "val"), ("b", "mine")):
        sample = fo.Sample(f"/{tag}.png", own=fo.Classification(label=label), tags=[tag])
        made.add_sample(sample)
    facts = {"label_field": "own", "report": "/r.csv", "has_splits": False, "skipped": {}}
    for changes, words in (
        ({}, ""),  # the tags are not of the folders
        ({"has_splits": True}, " (train 1, val 1)"),
        (
            {"skipped": {"empty files": 2, "not an image": 1}},
            "; files left out: 2 empty files, 1 not an image. The full list is in /r.csv",
        ),
    ):
        made.info["import_folders"] = facts | changes
        found = operator.outcome(made, {})
        assert found == {"summary": f"{name}: 3 images in 2 classes{words}", "dataset": name}


def test_an_import_waits_for_those_into_the_same_dataset():
    operator = foo.get_operator(URI + "import_folders")
    for given, target in (
        ({"path": "/photos/pets/"}, "pets"),
        ({"path": "/photos/pets", "name": None}, "pets"),
        ({"path": "/photos/pets", "name": "mine"}, "mine"),
    ):
        assert operator.target(given) == import_lock(target)
    assert operator.job_label({"path": "/photos/pets/"}) == "Import 'pets'"
