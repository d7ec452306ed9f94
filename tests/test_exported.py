"""Runs that are taken to another dataset or machine."""

import hashlib
import json
import os
import shutil

import fiftyone as fo
import numpy as np
import pytest
import torch
from made_runs import (
    CLASSES,
    FILES,
    FINDINGS,
    HISTORY,
    SIZE,
    VALIDATIONS,
    failing,
    logits_of,
    make_run,
    some_digits,
    state_of,
    tree,
)

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset import exported
from fiftyone_gradcam.dataset.files import dataset_folder, run_folder
from fiftyone_gradcam.dataset.run import pretrained
from fiftyone_gradcam.training.recipe import Recipe


@pytest.fixture
def dataset(tmp_path, name):
    """Some digits of three classes."""
    yield from some_digits(tmp_path / "digits", name)


@pytest.fixture
def other(tmp_path, name):
    """Another dataset."""
    yield from some_digits(tmp_path / "other", f"{name} other", per_class=2)


def test_an_exported_run_is_read_by_plain_torch(dataset, tmp_path):
    run = make_run(dataset, "a", resize="crop", hidden=(5,))
    folder = fg.export_run(dataset.limit(2), "a", str(tmp_path / "x" / "exported"))
    assert folder == str(tmp_path / "x" / "exported")
    assert os.listdir(tmp_path / "x") == ["exported"]
    assert sorted(os.listdir(folder)) == [
        "curves.png",
        "run.json",
        "watch.npz",
        "watch.png",
        "weights.pt",
    ]
    weights = os.path.join(folder, "weights.pt")
    state = torch.load(weights, weights_only=True)
    own = run.load_model().state_dict()
    assert state.keys() == own.keys()
    assert all(torch.equal(state[name], own[name]) for name in own)
    for name in ("curves.png", "watch.npz", "watch.png"):
        with open(os.path.join(folder, name)) as file:
            assert file.read() == f"{name} of a"
    with open(os.path.join(folder, "run.json")) as file:
        facts = json.load(file)
    with open(weights, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    assert facts == {
        "format": "fiftyone-gradcam run",
        "format_version": 1,
        "package_version": fg.__version__,
        "key": "a",
        "backbone": "small_cnn",
        "classes": CLASSES,
        "input": {
            "image_size": 32,
            "resize": "crop",
            "mean": [0.485, 0.456, 0.406],
            "std": [0.229, 0.224, 0.225],
        },
        "layer": "features.stage3",
        "label_field": "ground_truth",
        "best_epoch": 2,
        "val_accuracy": 0.9,
        "val_images": 10,
        "recipe": run.recipe,
        "history": HISTORY,
        "validations": VALIDATIONS,
        "findings": FINDINGS,
        "watched": ["0" * 24],
        "sha256": digest,
    }


def test_an_imported_run_predicts_the_same(dataset, other, tmp_path):
    run = make_run(dataset, "a", resize="letterbox", hidden=(5,))
    folder = fg.export_run(dataset, run, tmp_path / "exported")
    found = fg.import_run(other.limit(1), folder, key="b")
    assert fg.list_runs(other) == ["b"]
    assert found == fg.load_run(other, "b")
    for name in ("classes", "recipe", "history", "validations", "findings", "best_epoch"):
        assert getattr(found, name) == getattr(run, name)
    assert (found.label_field, found.val_accuracy) == ("ground_truth", 0.9)
    here = run_folder(other, "b")
    assert sorted(os.listdir(here)) == ["curves.png", "model.pt", "watch.npz", "watch.png"]
    assert os.listdir(os.path.dirname(here)) == ["b"]
    assert found.checkpoint == os.path.join(here, "model.pt")
    assert found.curves == os.path.join(here, "curves.png")
    assert found.watch == {
        "ids": ["0" * 24],
        "maps": os.path.join(here, "watch.npz"),
        "strip": os.path.join(here, "watch.png"),
    }
    paths = other.values("filepath")
    assert logits_of(found, paths) == pytest.approx(logits_of(run, paths), abs=1e-6)
    fg.predict(other, "b", heatmaps=())
    assert np.stack(other.values("prediction.logits")) == pytest.approx(
        logits_of(run, paths), abs=1e-4
    )
    shutil.rmtree(folder)
    assert logits_of(fg.load_run(other, "b"), paths).shape == (6, 3)
    with pytest.raises(ValueError, match="no training 'b' to resume"):
        fg.fine_tune(other, "b", resume=True, epochs=9)


def test_a_run_without_pictures_travels_too(dataset, other, tmp_path):
    make_run(dataset, "a", files=False)
    folder = fg.export_run(dataset, "a", str(tmp_path / "exported"))
    assert sorted(os.listdir(folder)) == ["run.json", "weights.pt"]
    found = fg.import_run(other, folder)
    assert (found.key, found.watch, found.curves) == ("a", None, None)
    assert os.listdir(run_folder(other, "a")) == ["model.pt"]


def test_nothing_is_exported_over_other_files(dataset, tmp_path):
    make_run(dataset, "a")
    make_run(dataset, "b", seed=1, files=False)
    folder = tmp_path / "exported"
    folder.mkdir()
    fg.export_run(dataset, "a", str(folder))  # an empty one will do
    first = tree(folder)
    with pytest.raises(FileExistsError, match=r"is not empty.*overwrite=True"):
        fg.export_run(dataset, "b", str(folder))
    assert tree(folder) == first
    (folder / "notes.txt").write_text("precious")
    with pytest.raises(FileExistsError, match="'notes.txt', which is not part of an exported run"):
        fg.export_run(dataset, "b", str(folder), overwrite=True)
    (folder / "notes.txt").unlink()
    assert tree(folder) == first
    fg.export_run(dataset, "b", str(folder), overwrite=True)
    assert sorted(os.listdir(folder)) == ["run.json", "weights.pt"]
    assert json.loads((folder / "run.json").read_text())["key"] == "b"
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "weights.pt").write_text("precious")
    with pytest.raises(FileExistsError, match="'weights.pt', which is not part"):
        fg.export_run(dataset, "b", str(mine), overwrite=True)
    assert tree(mine) == {"weights.pt": b"precious"}
    with pytest.raises(NotADirectoryError, match="is a file"):
        fg.export_run(dataset, "b", str(mine / "weights.pt"))
    with pytest.raises(ValueError, match="no training run 'c'. Its runs: a, b"):
        fg.export_run(dataset, "c", str(tmp_path / "c"))
    network = pretrained(dataset, "squeezenet1_1", "imagenet", "squash")
    with pytest.raises(ValueError, match="was not trained here"):
        fg.export_run(dataset, network, str(tmp_path / "c"))
    assert sorted(os.listdir(tmp_path)) == ["digits", "exported", "mine"]


def test_an_export_that_fails_leaves_nothing(dataset, tmp_path):
    make_run(dataset, "a")
    folder = fg.export_run(dataset, "a", str(tmp_path / "exported"))
    before = tree(tmp_path)

    for module, function in ((exported.json, "dump"), (exported.os, "rename")):
        for target in (folder, str(tmp_path / "new" / "deep")):
            with failing(module, function):
                fg.export_run(dataset, "a", target, overwrite=True)
            assert tree(tmp_path) == before
            assert sorted(os.listdir(tmp_path)) == ["digits", "exported"]


def edit(folder, **changes):
    """Change what run.json says."""
    path = os.path.join(folder, "run.json")
    with open(path) as file:
        facts = json.load(file)
    facts.update(changes)
    with open(path, "w") as file:
        json.dump(facts, file)


def damage(folder, name):
    """Change one byte in the middle of a file."""
    with open(os.path.join(folder, name), "r+b") as file:
        file.seek(os.path.getsize(file.name) // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 255]))


RECIPE = Recipe(backbone="small_cnn", weights="none", image_size=SIZE).to_dict()
BAD_EXPORTS = [
    (shutil.rmtree, FileNotFoundError, "has no run.json.*export_run"),
    (lambda f: os.unlink(f"{f}/weights.pt"), FileNotFoundError, "has no weights.pt"),
    (lambda f: edit(f, format="else"), ValueError, "its format is 'else'"),
    (lambda f: edit(f, format_version=2), ValueError, "format version 2, and .* reads 1"),
    (lambda f: damage(f, "weights.pt"), ValueError, "its sha256 is .*Copy the folder again"),
    (lambda f: edit(f, sha256="0"), ValueError, "its sha256 is [0-9a-f]{64}, not 0"),
    (lambda f: edit(f, classes=[*CLASSES, "d"]), ValueError, "do not fit 'small_cnn' with 4"),
    (lambda f: edit(f, classes=["a", "a", "b"]), ValueError, "not name two or more classes"),
    (lambda f: edit(f, recipe={**RECIPE, "hidden": [4]}), ValueError, "do not fit 'small_cnn'"),
    (lambda f: edit(f, history=None), ValueError, "invalid 'history': None"),
    (lambda f: edit(f, history=[{}]), ValueError, r"invalid 'history': \[{}\]"),
    (
        lambda f: edit(f, backbone="net9", recipe={**RECIPE, "backbone": "net9"}),
        ValueError,
        "does not know: Unknown backbone 'net9'",
    ),
    (lambda f: edit(f, backbone="resnet18"), ValueError, "is inconsistent"),
    (lambda f: edit(f, recipe={}), ValueError, "is inconsistent"),
    (lambda f: edit(f, recipe={**RECIPE, "image_size": 64}), ValueError, "'image_size': 32.*64"),
    (lambda f: edit(f, recipe={**RECIPE, "resize": "fold"}), ValueError, "resize must be one of"),
    (lambda f: damage(f, "run.json"), ValueError, "is damaged .*Export the run again"),
]


def test_what_was_there_comes_back_if_the_rest_fails(tmp_path):
    for name in ("part", "target"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)

    def fail() -> None:
        with exported.in_place(str(tmp_path / "part"), str(tmp_path / "target")):
            assert tree(tmp_path / "target") == {"file": b"part"}
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert tree(tmp_path) == {"target/file": b"target"}


def test_a_bad_export_is_not_imported(dataset, other, tmp_path):
    make_run(dataset, "a")
    good = fg.export_run(dataset, "a", str(tmp_path / "good"))
    before = state_of(other)
    for number, (spoil, error, message) in enumerate(BAD_EXPORTS):
        folder = str(tmp_path / f"bad {number}")
        shutil.copytree(good, folder)
        spoil(folder)
        with pytest.raises(error, match=message):
            fg.import_run(other, folder)
        assert state_of(other) == before
        home = os.path.join(dataset_folder(other), "runs")
        assert not os.path.isdir(home) or os.listdir(home) == []
    assert fg.import_run(other, good).key == "a"


def test_an_import_takes_no_place_unasked(dataset, other, tmp_path):
    run = make_run(dataset, "a")
    folder = fg.export_run(dataset, run, str(tmp_path / "exported"))
    own = make_run(other, "a", seed=1)
    with pytest.raises(ValueError, match="'a' exists already.*another key, or pass overwrite=True"):
        fg.import_run(other, folder)
    with pytest.raises(ValueError, match="'no key' is not a valid run key"):
        fg.import_run(other, folder, key="no key")
    interrupted = run_folder(other, "b")
    os.makedirs(interrupted)
    with open(os.path.join(interrupted, "state.pt"), "w") as file:
        file.write("precious")
    with pytest.raises(ValueError, match=r"holds a training 'b' .*interrupted.*delete_run\(\)"):
        fg.import_run(other, folder, key="b")
    before = state_of(other)

    for method in ("register_run", "update_run_config", "save_run_results"):
        for key in {"register_run": "bc", "update_run_config": "a"}.get(method, "abc"):
            with failing(fo.Dataset, method):
                fg.import_run(other, folder, key=key, overwrite=True)
        assert state_of(other) == before
        assert sorted(os.listdir(os.path.dirname(interrupted))) == ["a", "b"]
    paths = dataset.values("filepath")
    assert not np.allclose(logits_of(own, paths), logits_of(run, paths))
    found = fg.import_run(other, folder, overwrite=True)
    assert logits_of(found, paths) == pytest.approx(logits_of(run, paths), abs=1e-6)
    here = os.path.dirname(found.checkpoint)
    assert sorted(os.listdir(here)) == sorted({*FILES} - {"state.pt"})
    assert os.listdir(run_folder(other, "a")) == [os.path.basename(here)]  # nothing of the old
    assert sorted(os.listdir(os.path.dirname(interrupted))) == ["a", "b"]


@pytest.mark.parametrize("is_there", [True, False])
@pytest.mark.parametrize("fails", [None, "inside", "before"])
def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path, is_there, fails):
    part, target = tmp_path / ".out.part", tmp_path / "out"
    for folder, words in ((part, "new"), (target, "old")):
        if folder is not {"before": part}.get(fails) and (is_there or folder is part):
            folder.mkdir()
            (folder / "run.json").write_text(words)
    try:
        with exported.in_place(str(part), str(target)):
            assert (target / "run.json").read_text() == "new"
            if fails:
                raise KeyboardInterrupt
    except (KeyboardInterrupt, FileNotFoundError):
        assert fails
    words = "new" if not fails else "old" if is_there else None
    assert [x.name for x in tmp_path.iterdir()] == ["out"] * (words is not None)  # nothing else
    assert words is None or (target / "run.json").read_text() == words
