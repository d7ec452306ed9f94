"""The plugin as FiftyOne loads it: same names, same results, same messages as the verbs."""

import base64
import subprocess
import sys
from pathlib import Path

import fiftyone as fo
import fiftyone.operators as foo
import fiftyone.plugins as fop
import pytest
import yaml
from conftest import QUICK, REPOSITORY, save_digits
from PIL import Image
from scipy.stats import binomtest
from trees import TREES

import fiftyone_gradcam as fg
from fiftyone_gradcam.explain.methods import METHODS
from fiftyone_gradcam.explain.render import SCALES, STORAGES
from fiftyone_gradcam.images.geometry import INTERPOLATIONS, RESIZES
from fiftyone_gradcam.locks import own_folder
from fiftyone_gradcam.model.backbones import BACKBONES
from fiftyone_gradcam.passes.heatmaps import KINDS

URI = "@gradcam/classifier/"
VERBS = [
    "import_folders", "split", "fine_tune", "predict", "find_label_issues", "find_leaks",
    "find_anomalies", "show_embeddings", "lowest_scores", "highest_scores", "mistakes",
    "export_folders", "export_overlays", "mean_heatmaps", "explanation_quality",
    "preview_augmentation", "find_learning_rate", "sanity_check",
]  # fmt: skip
OF_RUNS = ["export_run", "import_run", "rename_run", "delete_run"]  # buttons of the panel
OF_LABELS = [
    "review", "undo_review", "accept_sure", "export_reviews", "compare_runs", "retrain",
    "evaluate", "save_views", "report",
]  # fmt: skip
# Called by scripts in the browser.
CALLS = [
    "review_cards", "review_decide", "review_undo", "explain_sample", "show_heatmap", "follow_job",
]  # fmt: skip
WAITS = ["training_estimate"]  # of the form of a training


def form(verb: str, dataset, **params) -> dict:
    """The form's fields as the App would receive them, by name."""
    operator = foo.get_operator(URI + verb)
    ctx = foo.executor.ExecutionContext(
        request_params={"dataset_name": dataset.name, "params": params}, operator_uri=URI + verb
    )
    return operator.resolve_input(ctx).to_json()["type"]["properties"]


def execute(verb: str, dataset, **params):
    return foo.execute_operator(URI + verb, {"dataset": dataset, "params": params})


def test_the_plugin_loads_without_an_error():
    definition = yaml.safe_load((REPOSITORY / "fiftyone.yml").read_text())
    assert definition["name"] == "@gradcam/classifier"
    assert definition["version"] == fg.__version__
    names = [*VERBS, "relocate", "compute_embeddings", *OF_RUNS, *OF_LABELS, *CALLS, *WAITS]
    assert definition["operators"] == names
    assert definition["panels"] == ["classifier"]
    registry = foo.OperatorRegistry()
    assert registry.list_errors() == []
    uris = [operator.uri for operator in registry.list_operators(builtin=False)]
    assert uris == [URI + name for name in (*names, "classifier")]
    (plugin,) = [p for p in fop.list_plugins() if p.name == "@gradcam/classifier"]
    assert plugin.fiftyone_compatibility == ">=1.22,<2"


def test_loading_the_plugin_does_not_import_torch():
    code = (
        "import sys, fiftyone.operators as foo\n"
        f"assert foo.get_operator({URI + 'predict'!r})\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "False"


def test_every_verb_has_a_button_above_the_grid(trained):
    ctx = foo.executor.ExecutionContext(request_params={"dataset_name": trained.name})
    for verb in VERBS:
        operator = foo.get_operator(URI + verb)
        placement = operator.resolve_placement(ctx).to_json()
        assert placement["place"] == "samples-grid-secondary-actions"
        assert placement["view"]["label"] == operator.config.label
        assert operator.config.icon
    for verb in OF_RUNS:
        assert foo.get_operator(URI + verb).resolve_placement(ctx) is None


def test_calling_an_operator_is_calling_the_verb(trained):
    operator = foo.get_operator(URI + "lowest_scores")
    expected = fg.lowest_scores(trained, "digit 1", count=3).values("id")
    assert operator(trained, "digit 1", count=3).values("id") == expected
    with pytest.raises(ValueError, match="count .*0"):
        operator(trained, count=0)


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


def test_the_form_of_an_import_shows_its_plan(trained, tmp_path):
    root = save_digits(tmp_path / "d", per_class=4)
    (root / "note.txt").write_text("x")
    fields = form("import_folders", trained, path=str(root))
    words = str(fields["plan"])
    assert "12 files in 3 classes: the class is the name of the folder" in words
    assert "| digit 0 | 4 |" in words
    assert fields["name"]["view"]["placeholder"] == "d"
    assert not {"no_plan", "taken"} & set(fields)
    picture = Image.open(own_folder() / "import.jpg")
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


def test_folders_are_exported_by_operator(trained, tmp_path):
    folder = str(tmp_path / "out")
    assert "not_empty" in form("export_folders", trained, folder=str(REPOSITORY))
    execute("export_folders", trained, folder=folder, label_field="ground_truth", how="link")
    assert fg.plan_import(folder).counts()["test"] == fg.plan_import(folder).counts()["val"]
    assert len(fg.plan_import(folder).items) == len(trained)


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
        ("mistakes", {"prediction_field": "p"}, {}),
        ("relocate", {"old": "/a", "new": "/b"}, {}),
        ("split", {"label_field": "ground_truth", "way": "folds", "folds": 3, "seed": 7},
         {"way": None, "groups": None}),
        ("split", {"label_field": "ground_truth", "groups": "filename"},
         {"seed": 0, "fractions": {"train": 0.6, "val": 0.2, "test": 0.2}}),
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
    of_the_form = ("way", "weights_file", "class_names")
    expected = {n: value for n, value in {**params, **given}.items() if n not in of_the_form}
    assert found == expected


def test_only_some_splits_take_long():
    operator = foo.get_operator(URI + "split")
    assert operator.takes_long({"groups": "near duplicates"})
    assert not any(operator.takes_long({"groups": name}) for name in (None, "duplicates", "video"))


def test_a_result_is_shown_without_what_is_not_needed(trained):
    from fiftyone_gradcam.app.showing import show, view_as_text

    def messages(outcome: dict, view=None, active=()) -> list[tuple[str, dict]]:
        ctx = foo.executor.ExecutionContext(
            request_params={
                "dataset_name": trained.name, "active_fields": list(active),
                "view": [] if view is None else view._serialize(),
            },
            executor=foo.executor.Executor(),
        )  # fmt: skip
        for _ in show(ctx, outcome):
            pass
        found = ctx.executor.to_json()["requests"]
        return [(m["operator_uri"].rpartition("/")[2], m["params"]) for m in found]

    def names(*args, **options) -> list[str]:
        return [name for name, _ in messages(*args, **options)]

    assert names({}) == ["reload_dataset"]
    assert names({"changed": False}) == []
    assert messages({"dataset": "x", "fields": ["gradcam"]}) == [("open_dataset", {"dataset": "x"})]
    using = trained.exists("prediction")
    assert names({"gone": ["prediction"]}, using) == ["reload_dataset", "clear_view"]
    assert names({"gone": ["gradcam_label"]}, using) == ["reload_dataset"]
    assert names({"gone": []}, using) == ["reload_dataset"]
    same = {"changed": False, "fields": ["prediction", "gradcam"]}
    assert names(same, active=["gradcam", "prediction"]) == []
    ((name, params),) = messages(same, active=["tags", "gradcam_label"])
    assert (name, params["fields"]) == ("set_active_fields", ["tags", "prediction", "gradcam"])
    shown = trained.limit(3)
    ((name, params),) = messages({"changed": False, "view": view_as_text(shown)})
    assert name == "set_view"
    assert fo.DatasetView._build(trained, params["view"]).values("id") == shown.values("id")


def test_the_whole_loop_by_operators(tmp_path, name):
    root = save_digits(tmp_path / "d", per_class=15)
    other = fo.Dataset(f"{name} open")
    execute("import_folders", other, path=str(root), name=name)
    dataset = fo.load_dataset(name)
    assert len(dataset) == 45
    execute("split", dataset, train=0.6, val=0.4, test=0, label_field="ground_truth")
    assert dataset.count_sample_tags() == {"train": 27, "val": 18}
    execute(
        "fine_tune", dataset, key="run", label_field="ground_truth", backbone="small_cnn",
        epochs=2, batch_size=8, image_size=16,
    )  # fmt: skip
    dataset.reload()
    run = fg.load_run(dataset, "run")
    assert (run.recipe["epochs"], run.recipe["batch_size"], run.recipe["weights"]) == (2, 8, "none")
    execute("predict", dataset, run="run", label=True)
    dataset.reload()
    assert len(dataset.exists("gradcam")) == len(dataset.exists("gradcam_label")) == 45
    execute("find_label_issues", dataset, label_field="ground_truth", backbone="small_cnn", folds=2)
    dataset.reload()
    assert len(dataset.exists("label_quality")) == 45
    execute("export_overlays", dataset, heatmap_field="gradcam", folder=str(tmp_path / "out"))
    assert len(list((tmp_path / "out").iterdir())) == 46
    execute("mean_heatmaps", dataset, heatmap_field="gradcam", folder=str(tmp_path / "means"))
    assert (tmp_path / "means" / "means.png").exists()
    execute("explanation_quality", dataset, heatmap_field="gradcam", steps=2)
    dataset.reload()
    assert len(dataset.exists("gradcam.deletion")) == 45
    result = execute("mistakes", dataset, prediction_field="prediction")
    (request,) = result.executor.to_json()["requests"]
    assert request["operator_uri"] == "set_view"
    other.delete()


def test_errors_are_those_of_the_verbs(trained):
    with pytest.raises(foo.executor.ExecutionError, match="'a b' is not a valid field name"):
        execute("predict", trained, run="quick", heatmap_field="a b")
    with pytest.raises(foo.executor.ExecutionError, match="'quick' exists already"):
        foo.execute_operator(
            URI + "fine_tune",
            {
                "dataset": trained,
                "params": {"key": "quick", "label_field": "ground_truth", "backbone": "small_cnn"},
            },
        )


def test_from_python_an_operator_works_in_the_foreground_and_then_shows_the_result(trained):
    operator = foo.get_operator(URI + "predict")

    def messages(run: str) -> list[dict]:
        ctx = foo.executor.ExecutionContext(
            request_params={"dataset_name": trained.name, "params": {"run": run}},
            executor=foo.executor.Executor(),
            operator_uri=URI + "predict",
        )
        return [{"uri": m.body.operator_uri, **m.body.params} for m in operator.execute(ctx)]

    well = messages("quick")
    uris = [m["uri"].rsplit("/", 1)[-1] for m in well]
    # No colors are set while tiles load: they would lose their heatmaps.
    assert [x for x in uris if x != "set_progress"] == [
        "notify",
        "reload_dataset",
        "set_active_fields",
    ]
    (active,) = [m for m in well if m["uri"].endswith("set_active_fields")]
    assert active["fields"] == ["prediction", "gradcam"]
    with pytest.raises(ValueError, match="no training run 'gone'"):
        messages("gone")


def test_the_panel_knows_the_runs(tmp_path, name):
    from fiftyone_gradcam.app.panels.runs import describe_runs

    dataset = fg.import_folders(str(save_digits(tmp_path / "d", per_class=10)), name)
    run = fg.fine_tune(dataset, "r", **{**QUICK, "epochs": 1})  # which splits first
    assert dataset.count_sample_tags() == {"train": 18, "val": 6, "test": 6}
    fg.fine_tune(dataset.match_tags("train"), "another", **{**QUICK, "epochs": 2})
    rows = describe_runs(dataset)
    assert [row["key"] for row in rows] == ["another", "r"]
    low, high = binomtest(round(6 * run.val_accuracy), 6).proportion_ci(0.95, "wilson")
    assert rows[1]["val_accuracy"] == (
        f"{100 * run.val_accuracy:.1f}% ({100 * low:.1f}% to {100 * high:.1f}%)"
    )


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
    assert fields["epochs"]["view"]["placeholder"] == "5, or more if there are few images"
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


def test_looks_before_a_training(trained):
    chosen = {"label_field": "ground_truth", "backbone": "small_cnn"}
    result = execute("preview_augmentation", trained, **chosen).result
    assert base64.b64decode(result["picture"].split(",")[1]) == Path(result["path"]).read_bytes()
    assert Image.open(result["path"]).format == "PNG"
    # What is filled in is seen: with all pixels turned to black or white there is no grey left.
    still = {"horizontal_flip": "no", "translation": 0, "scale": 0.0, "rotation": 0.0}
    noisy = execute("preview_augmentation", trained, **chosen, **still, noise=1.0).result
    plain = execute("preview_augmentation", trained, **chosen, **still).result
    assert noisy["path"] == plain["path"]
    assert noisy["picture"] != plain["picture"]
    for verb in ("sanity_check", "find_learning_rate"):
        operator = foo.get_operator(URI + verb)
        ctx = foo.executor.ExecutionContext(
            request_params={"dataset_name": trained.name, "params": chosen},
            executor=foo.executor.Executor(),
            operator_uri=URI + verb,
        )
        (told,) = [m.body.params["message"] for m in operator.execute(ctx)
                   if "message" in m.body.params]  # fmt: skip
        assert ("learn" in told) if verb == "sanity_check" else ("Suggested" in told), told
