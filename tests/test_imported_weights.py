"""A checkpoint that was trained elsewhere becomes a run."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from made_runs import some_digits

import fiftyone_gradcam as fg
from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.model.backbones import get_backbone

CLASSES = ["digit 2", "digit 0", "digit 1"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    yield from some_digits(tmp_path_factory.mktemp("weights"), "imported-weights", per_class=3)


@pytest.fixture(scope="module")
def module():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        return get_backbone("resnet18").build(3).eval()


def plain(state):
    return state


def parallel(state):
    return {f"module.{name}": value for name, value in state.items()}


def lightning(state):
    return {
        "state_dict": {f"model.{name}": value for name, value in state.items()},
        "epoch": 3,
        "optimizer_states": [{"state": {}}],
    }


@pytest.mark.parametrize("form", [plain, parallel, lightning])
def test_it_predicts_what_the_network_says(dataset, module, form, tmp_path):
    path = str(tmp_path / "trained.pt")
    torch.save(form(module.state_dict()), path)
    key = f"from_{form.__name__}"
    run = fg.import_run(
        *(dataset, key),
        weights=path,
        backbone="resnet18",
        classes=CLASSES,
        image_size=64,
        resize="letterbox",
    )
    assert (run.classes, run.label_field, run.history) == (CLASSES, "ground_truth", [])
    assert (run.recipe["image_size"], run.recipe["resize"]) == (64, "letterbox")
    assert str(run) == f"run {key!r}: resnet18, 3 classes, weights from a file"
    fg.predict(dataset, key, heatmaps=(), device="cpu", progress=False, overwrite=True)
    paths = dataset.values("filepath")
    (batch,) = Images(paths, 64, resize="letterbox").batches(len(paths))
    with torch.no_grad():
        wanted = module(get_backbone("resnet18").normalize(batch.images)).numpy()
    assert np.allclose(dataset.values("prediction.logits"), wanted, atol=1e-3)
    assert dataset.values("prediction.label") == [CLASSES[i] for i in wanted.argmax(1)]


def test_it_can_be_exported_and_imported_again(dataset, module, tmp_path):
    path = str(tmp_path / "trained.pt")
    torch.save(module.state_dict(), path)
    fg.import_run(dataset, key="first", weights=path, backbone="resnet18", classes=CLASSES)
    folder = fg.export_run(dataset, "first", str(tmp_path / "exported"))
    again = fg.import_run(dataset, folder, "again")
    for name, value in again.load_model().state_dict().items():
        assert torch.equal(value, module.state_dict()[name]), name
    assert again.recipe == fg.load_run(dataset, "first").recipe
    assert again.recipe["resize"] == "crop"


def test_classes_as_image_folder_numbers_them(dataset, module, tmp_path, capsys):
    torch.save(module.state_dict(), tmp_path / "trained.pt")
    options = {"weights": str(tmp_path / "trained.pt"), "backbone": "resnet18"}
    run = fg.import_run(dataset, "alphabetical", **options)
    assert run.classes == ["digit 0", "digit 1", "digit 2"]
    assert "classes of 'ground_truth' in alphabetical order" in capsys.readouterr().out


def test_what_does_not_fit_is_refused_and_leaves_nothing(dataset, module, tmp_path):
    path = str(tmp_path / "trained.pt")
    torch.save(module.state_dict(), path)
    good = {"weights": path, "backbone": "resnet18", "classes": CLASSES}
    headless = str(tmp_path / "headless.pt")
    torch.save({n: v for n, v in module.state_dict().items() if "fc." not in n}, headless)
    before = fg.list_runs(dataset)
    for change, message in [
        ({"classes": ["a", "b"]}, "have a last layer for 3 classes, but 2 classes are named"),
        ({"weights": headless}, "have no last layer, but 3 classes are named"),
        ({"backbone": "resnet34"}, "are not those of 'resnet34'"),
        ({"backbone": "resnet81"}, "Did you mean 'resnet18'"),
        ({"backbone": None}, "Pass backbone=, the network of the weights"),
        ({"resize": "fit"}, "resize must be one of squash, crop, letterbox"),
        ({"label_field": "no_labels"}, "no_labels"),
        ({"folder": "/x", "key": "k"}, "or weights=, not both"),
    ]:
        with pytest.raises((ValueError, AttributeError), match=message):
            fg.import_run(dataset, **{"key": "unfit", **good, **change})
    with pytest.raises(ValueError, match="Pass key=, the key of the new run"):
        fg.import_run(dataset, **good)
    with pytest.raises(ValueError, match="Pass folder= of an exported run, or weights="):
        fg.import_run(dataset, key="x")
    with pytest.raises(ValueError, match="are only for weights=; an exported run has its own"):
        fg.import_run(dataset, str(tmp_path), backbone="resnet18")
    with pytest.raises(FileNotFoundError, match="No weights file at"):
        fg.import_run(dataset, "unfit", **{**good, "weights": str(tmp_path / "none.pt")})
    assert fg.list_runs(dataset) == before
