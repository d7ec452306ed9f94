"""The plugin as FiftyOne loads it: same names, same results, same messages as the verbs."""

import subprocess
import sys

import fiftyone as fo
import fiftyone.operators as foo
import fiftyone.plugins as fop
import pytest
import yaml
from conftest import QUICK, REPOSITORY, save_digits
from scipy.stats import binomtest

import fiftyone_gradcam as fg

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
    "import_state", "cancel_import", "repeat_import",
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
    icons = set()
    for verb in VERBS:
        operator = foo.get_operator(URI + verb)
        placement = operator.resolve_placement(ctx).to_json()
        assert placement["place"] == "samples-grid-secondary-actions"
        assert placement["view"]["label"] == operator.config.label
        icons.add(operator.config.icon)
    assert len(icons - {""}) == len(VERBS)  # beside an open panel the icon is all that is shown
    for verb in OF_RUNS:
        assert foo.get_operator(URI + verb).resolve_placement(ctx) is None


def test_calling_an_operator_is_calling_the_verb(trained):
    operator = foo.get_operator(URI + "lowest_scores")
    expected = fg.lowest_scores(trained, "digit 1", count=3).values("id")
    assert operator(trained, "digit 1", count=3).values("id") == expected
    with pytest.raises(ValueError, match="count .*0"):
        operator(trained, count=0)


def test_folders_are_exported_by_operator(trained, tmp_path):
    folder = str(tmp_path / "out")
    assert "not_empty" in form("export_folders", trained, folder=str(REPOSITORY))
    execute("export_folders", trained, folder=folder, label_field="ground_truth", how="link")
    assert fg.plan_import(folder).counts()["test"] == fg.plan_import(folder).counts()["val"]
    assert len(fg.plan_import(folder).items) == len(trained)


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
    execute(
        "find_label_issues", dataset, label_field="ground_truth", backbone="small_cnn", folds=2,
        epochs=1,
    )  # fmt: skip
    dataset.reload()
    assert len(dataset.exists("label_quality")) == 45
    execute("export_overlays", dataset, heatmap_field="gradcam", folder=str(tmp_path / "out"))
    assert len(list((tmp_path / "out").iterdir())) == 46
    execute("mean_heatmaps", dataset, heatmap_field="gradcam", folder=str(tmp_path / "means"))
    assert (tmp_path / "means" / "means.png").exists()
    for verb, picture in (
        ("export_overlays", "contact_sheet_1.jpg"),
        ("mean_heatmaps", "means.png"),
    ):
        folder = tmp_path / "seen" / verb
        given = {"samples": dataset.limit(3), "heatmap_field": "gradcam", "folder": str(folder)}
        operator = foo.get_operator(URI + verb)
        outcome = operator.outcome(operator._done(given), given)
        assert (outcome["place"], outcome["picture"]) == (str(folder), str(folder / picture))
        assert (folder / picture).exists()  # the panel shows it
    made = {
        "deletion": {"heatmap": 0.41, "gaussian": 0.57},
        "insertion": {"heatmap": 0.58, "gaussian": 0.61},
        "drop": {"heatmap": 0.02, "gaussian": 0.02},
        "road": {"heatmap": 0.3, "gaussian": 0.2},
    }
    assert foo.get_operator(URI + "explanation_quality").outcome(made, {})["summary"] == (
        "By 2 of 4 measures, heatmaps explain the predictions better than a spot in the center of "
        "each image (a Gaussian): deletion (low is good) 0.41, better than 0.57; insertion (high "
        "is good) 0.58, not better than 0.61; drop (low is good) 0.02, not better than 0.02; road "
        "(high is good) 0.30, better than 0.20"
    )
    execute("explanation_quality", dataset, heatmap_field="gradcam", steps=2)
    dataset.reload()
    assert len(dataset.exists("gradcam.deletion")) == 45
    result = execute("mistakes", dataset, prediction_field="prediction")
    (request,) = result.executor.to_json()["requests"]
    assert request["operator_uri"] == "set_view"
    other.delete()


def test_errors_are_those_of_the_verbs(trained, monkeypatch):
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
    verb = foo.get_operator(URI + "save_views")
    trained.save_view("least certain", trained.limit(2))
    with pytest.raises(ValueError, match="overwrite=True"):
        verb._done({"samples": trained})
    monkeypatch.setenv("FIFTYONE_SERVER", "1")  # whose forms call it otherwise
    with pytest.raises(ValueError, match="“Replace what is there”"):
        verb._done({"samples": trained})
    trained.delete_saved_view("least certain")


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
