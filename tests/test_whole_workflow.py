"""What each step of the whole workflow gets, and what is shown at its end; the work left out."""

from types import SimpleNamespace

import fiftyone as fo
import pytest
from conftest import save_digits

from fiftyone_gradcam import demo, whole_loop

HEATMAPS = {"heatmaps": ("predicted", "label", "contrast")}
STEPS = ("split", "fine_tune", "predict", "find_label_issues")


@pytest.fixture
def judged(name) -> fo.DatasetView:
    """A view of two samples, one of them with a suggestion."""
    dataset = fo.Dataset(name)
    for number, other in enumerate(("dog", None)):
        sample = fo.Sample(f"/{number}.png", ground_truth=fo.Classification(label="cat"))
        sample["label_quality"] = number / 8
        sample["suggested_label"] = other and fo.Classification(label=other)
        dataset.add_sample(sample)
    return dataset.sort_by("label_quality")


def test_the_most_suspicious_labels_are_printed(judged, capsys):
    lines = ["The most suspicious labels:", "  0.000  /0.png  cat, suggested dog",
             "  0.125  /1.png  cat",
             f"See them in the App: fiftyone app launch '{judged.dataset_name}'"]  # fmt: skip
    for count, expected in ((10, lines), (1, [*lines[:2], lines[3]])):
        whole_loop.print_suspicious(judged, count)
        assert capsys.readouterr().out.splitlines() == expected


def test_the_app_waits_and_has_the_colors_that_were_chosen(judged, monkeypatch, capsys):
    opened, colors = [], fo.app_config.colorscale
    session = SimpleNamespace(wait=opened.append)
    monkeypatch.setattr(fo, "launch_app", lambda *a, **o: opened.append((a, o)) or session)
    monkeypatch.setattr(fo.app_config, "colorscale", colors)
    monkeypatch.setenv("FIFTYONE_APP_COLORSCALE", "before")
    painted = []
    monkeypatch.setattr(whole_loop, "paint_by_value", painted.append)
    whole_loop.open_app(judged)
    assert (painted, fo.app_config.colorscale) == ([], colors)
    whole_loop.open_app(judged, 7, "jet")
    assert opened == [((judged,), {"port": None}), -1, ((judged,), {"port": 7}), -1]
    assert painted == [judged._root_dataset]
    assert fo.app_config.colorscale == whole_loop.os.environ["FIFTYONE_APP_COLORSCALE"] == "jet"
    said = f"The App shows {judged.dataset_name!r}, the most suspicious labels first"
    assert capsys.readouterr().out.splitlines() == [said, "Press Ctrl+C to end"] * 2


def steps_of(place, monkeypatch, accuracy: float | None) -> dict:
    """Let the steps of a workflow note what they are called with."""
    found, run = {}, SimpleNamespace(key="k", val_accuracy=accuracy)
    for name in STEPS:
        monkeypatch.setattr(
            place,
            name,
            lambda *args, _own=name, **own: found.update({_own: (args[1:], own)}) or run,
        )
    return found


def test_each_step_of_the_whole_loop_gets_the_choices(tmp_path, name, monkeypatch, capsys):
    root = save_digits(tmp_path / "d", per_class=3)
    found = steps_of(whole_loop, monkeypatch, 0.75)
    monkeypatch.setattr(whole_loop, "accuracy", lambda view: 0.5)
    choices = {"backbone": "small_cnn", "weights": "none", "epochs": 2}
    _, figures = whole_loop.run_loop(str(root), name, seed=5, **choices)
    key, recipe = found["fine_tune"][0]
    assert (key, recipe.seed, recipe.epochs, recipe.backbone) == ("small_cnn", 5, 2, "small_cnn")
    assert found["split"] == (("default",), {"seed": 5})
    assert found["predict"][1] == HEATMAPS
    assert found["find_label_issues"] == ((), {**choices, "seed": 5})
    assert 0 <= figures.pop("seconds") < 600
    assert figures == {"dataset": name, "run": "k", "val_accuracy": 0.75, "test_accuracy": 0.5}
    assert capsys.readouterr().out.endswith("Val accuracy 75.0%\nTest accuracy 50.0%\n")
    # Folders that are splits are kept, and a pretrained network judges without training.
    fo.delete_dataset(name)
    for part in ("train", "val"):
        save_digits(tmp_path / "parts" / part, per_class=2)
    found = steps_of(whole_loop, monkeypatch, None)
    monkeypatch.setattr(whole_loop, "accuracy", lambda view: None)
    monkeypatch.setattr(whole_loop, "create_model", lambda *_: None)
    whole_loop.run_loop(str(tmp_path / "parts"), name, "mine", backbone="resnet18")
    assert "split" not in found
    assert found["fine_tune"][0][0] == "mine"
    pretrained = {"backbone": "resnet18", "weights": "imagenet", "seed": 0}
    assert found["find_label_issues"] == ((), pretrained)
    assert "accuracy" not in capsys.readouterr().out


@pytest.fixture
def made(tmp_path, name, monkeypatch) -> demo.DemoFolders:
    """Six digits, one of them planted, which stand in for those of both demonstrations."""
    monkeypatch.setattr(fo.config, "default_dataset_dir", str(tmp_path / "home"))
    monkeypatch.setattr(demo, "DATASET_NAME", name)
    monkeypatch.setattr(demo, "PHOTOS_NAME", name)
    root = save_digits(tmp_path / "digits", per_class=2)
    return demo.DemoFolders(root, {str(root / "digit 0" / "000.png"): "digit 1"})


def judging(monkeypatch) -> None:
    """Let each sample be suspicious, in the order of the dataset."""
    noted = demo.find_label_issues
    monkeypatch.setattr(
        demo, "find_label_issues", lambda dataset, **own: noted(dataset, **own) and dataset.view()
    )


def test_each_step_of_the_demonstration_gets_the_seed(made, tmp_path, name, monkeypatch, capsys):
    found, seeds = steps_of(demo, monkeypatch, 0.75), []
    judging(monkeypatch)
    monkeypatch.setattr(demo, "make_folders", lambda *given: seeds.append(given) or made)
    monkeypatch.setattr(demo, "accuracy", lambda view: 0.5)
    for _ in "ab":  # it replaces its own dataset
        _, figures = demo.run_demo(5)
    assert seeds == [(tmp_path / "home" / "fiftyone_gradcam" / "demo" / "digits", 5)] * 2
    assert found == {
        "split": ((), {"seed": 5}),
        "find_label_issues": ((), {"seed": 5, **demo.RECIPE, "image_size": 16}),
        "fine_tune": (("small_cnn",), {"seed": 5, "watch": 5, **demo.RECIPE}),
        "predict": (("small_cnn",), HEATMAPS),
    }
    assert 0 <= figures.pop("seconds") < 600
    assert figures == {
        "dataset": name, "run": "small_cnn", "test_accuracy": 0.5, "planted": 1, "found": 1,
    }  # fmt: skip
    dataset = fo.load_dataset(name)
    assert dataset.match_tags("planted error").values("filepath") == [*made.planted]
    assert dataset.info["demo"] == {"planted": 1}
    printed = capsys.readouterr().out
    assert f"Made {made.root}, with 1 image in a wrong folder on purpose\n" in printed
    assert "1 of the 1 planted errors are among the first 2 by label_quality\n" in printed
    assert printed.endswith("Test accuracy 50.0%\n")


def test_each_step_of_the_one_on_photos_gets_the_seed(made, tmp_path, name, monkeypatch, capsys):
    found, given = steps_of(demo, monkeypatch, 0.75), []
    judging(monkeypatch)
    monkeypatch.setattr(demo, "find_photos", lambda *own: given.append(own) or "photos")
    monkeypatch.setattr(
        demo, "make_photo_folders", lambda *own: given.append(own) or dict(made.planted)
    )
    monkeypatch.setattr(demo, "DemoFolders", lambda root, planted: made)
    monkeypatch.setattr(demo, "pick_backbone", lambda *_: ("resnet18", "imagenet"))
    _, figures = demo.run_photo_demo("p", 6)
    home = tmp_path / "home" / "fiftyone_gradcam" / "demo"
    assert given == [("p", home), ("photos", home / "photos", 6)]
    chosen = {"backbone": "resnet18", "weights": "imagenet", "seed": 6}
    run = found["predict"][0][0]
    assert found == {
        "split": ((), {"seed": 6}),
        "find_label_issues": ((), chosen),
        "fine_tune": (("resnet18",), {**chosen, "watch": 5, "epochs": 3}),
        "predict": ((run,), HEATMAPS),
    }
    assert 0 <= figures.pop("seconds") < 600
    assert figures == {
        "dataset": name, "run": run.key, "val_accuracy": 0.75, "planted": 1, "found": 1,
    }  # fmt: skip
    assert capsys.readouterr().out.endswith("Validation accuracy 75.0%\n")
    for part in ("train", "val"):  # photos that are split stay so
        save_digits(tmp_path / "parts" / part, per_class=2)
    planted = {str(tmp_path / "parts" / "val" / "digit 0" / "000.png"): "digit 1"}
    own = type(made)(tmp_path / "parts", planted)
    monkeypatch.setattr(demo, "DemoFolders", lambda root, planted: own)
    found.clear()
    demo.run_photo_demo()
    assert set(found) == {"find_label_issues", "fine_tune", "predict"}
    assert found["fine_tune"][1]["seed"] == 0
    found.clear()
    monkeypatch.setattr(demo, "pick_backbone", lambda *_: ("resnet18", "none"))
    with pytest.raises(ConnectionError, match="^Photos need a pretrained network, and no weights"):
        demo.run_photo_demo("p", 6)
    assert found == {}
