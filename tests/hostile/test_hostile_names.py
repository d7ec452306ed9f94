"""Keys and names of fields, classes, splits and datasets from anywhere."""

from __future__ import annotations

import os
import random

import bson
import fiftyone as fo
import pytest
from comparing_hostile import restored, state_of
from judging import Input, judge_all, some, tree_of
from made_runs import make_run, some_digits
from words import OTHERS, TEXTS, names, shown

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.files import dataset_folder, files_folder

TRAINING = {
    **{"recipe": None, "backbone": "small_cnn", "weights": "none", "device": "cpu"},
    **{"epochs": 1, "image_size": 16, "batch_size": 4},
}


class StopError(fg.CancelledError):
    """Ends a training before it begins."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A dataset with a run, and its folder."""
    root = tmp_path_factory.mktemp("names")
    made = some_digits(root / "digits", "hostile names", per_class=2)
    dataset = next(made)
    dataset.set_values("mine", [f"note {i}" for i in range(len(dataset))])
    make_run(dataset, "a", files=False)
    fg.split(dataset, {"train": 0.5, "val": 0.5})
    yield dataset, root
    next(made, None)


def rename(dataset, value) -> Input:
    def call():
        fg.rename_run(dataset, "a", value)
        assert fg.list_runs(dataset) == [value]
        fg.rename_run(dataset, value, "a")

    return Input("rename_run", "new keys", shown(value), call, ("key", "name", "Run", "run"))


def train(dataset, value) -> Input:
    def stop(*_):
        raise StopError("Stopped by the test")

    def call():
        try:
            fg.fine_tune(dataset, value, **TRAINING, progress=stop)
        finally:
            home = os.path.join(dataset_folder(dataset), "runs")
            for key in set(os.listdir(home)) - {"a"}:
                fg.delete_run(dataset, key)

    return Input(
        "fine_tune",
        "keys",
        shown(value),
        call,
        ("key", "name", "Run", "run", "Stopped", "Canceled"),
    )


def predict(dataset, value, source: random.Random) -> Input:
    option = source.choice((
        "prediction_field", "heatmap_field", "prediction_field", "label_field", "heatmap_classes",
        "heatmaps", "layer", "method", "interpolation", "resize", "batch_size", "storage",
        "resolution", "weights", "alpha", "device", "signed",
    ))  # fmt: skip
    given = {option: value}
    if option in ("heatmap_classes", "heatmaps") and source.random() < 0.7:
        given[option] = [value]

    def call():
        return fg.predict(dataset, "a", **{"device": "cpu"} | given, progress=False)

    words = (
        option,
        option.replace("_", " "),
        "ield",
        "class",
        "eatmap",
        "size",
        "layer",
        "weights",
    )
    return Input("predict", "fields and options", f"{option} {shown(value)}", call, words)


def split(dataset, value, source: random.Random) -> Input:
    if isinstance(value, str) or source.random() < 0.4:
        try:
            given = source.choice(({value: 0.5, "train": 0.5}, {value: 1.0}, {value: 2, "val": 1}))
        except TypeError:  # it cannot be a key
            given = value
    else:
        given = source.choice((value, {"train": value}, {"train": value, "val": 0.5}))
    what = source.choice(("fractions",) * 4 + ("groups", "folds", "seed"))
    options = {"fractions": given} if what == "fractions" else {what: value}

    def call():
        return fg.split(dataset, **options)

    words = ("split", "fraction", "recipe", "folds", "groups", "Field", "field", "seed", "share")
    return Input("split", "splits", shown(options), call, words)


def label_field(dataset, value, source: random.Random) -> Input:
    verb = source.choice((fg.split, fg.lowest_scores, fg.mistakes, fg.highest_scores))
    name = source.choice(("prediction_field", "count", "label_field"))
    name = {fg.split: "label_field", fg.mistakes: "prediction_field"}.get(verb, name)

    def call():
        return verb(dataset, **{name: value})

    return Input(
        verb.__name__,
        "fields and counts",
        f"{name} {shown(value)}",
        call,
        ("field", "rediction", "count"),
    )


def classes(dataset, value: str, root, number: int, source: random.Random) -> Input | None:
    """Labels of the dataset are names of folders of an export."""
    out = root / "out" / str(number) / "export"
    own = dataset.values("ground_truth.label")
    how = source.choice(("copy", "link", "list"))
    tag = source.random() < 0.4

    try:
        bson.encode({"label": value, value if tag else "x": 1.0})
    except (bson.InvalidDocument, UnicodeError):  # no database holds it
        return None

    def call():
        try:
            dataset.set_values("ground_truth.label", [value, *own[1:]])
            if tag:  # as a split of an earlier version may have called it
                dataset.info["splits"] = {"fractions": {value: 1.0}}
                dataset.save()
                dataset.set_values("tags", [[value]] + [[]] * (len(own) - 1))
            return fg.export_folders(dataset, str(out), how=how, progress=False)
        finally:
            dataset.set_values("ground_truth.label", own)

    def check(result):
        if how != "list":
            assert sum(len(files) for _, _, files in os.walk(out)) == len(own)

    words = ("name", "called", "label", "split")
    return Input("export_folders", "classes", f"{how} {tag} {shown(value)}", call, words, check)


def class_folders(value: str, root, number: int) -> Input | None:
    """Folders that are called so, as far as there can be any; what is imported is exported."""
    home = root / "made" / f"set {number}"
    for label in (value, "another label"):
        try:
            folder = os.path.join(home, label)
            if os.path.dirname(os.path.abspath(folder)) != str(home):
                return None
            os.makedirs(folder, exist_ok=True)
        except (OSError, ValueError):
            return None
        for i in range(2):
            os.link(root / "digits" / "digit 0" / f"00{i}.png", os.path.join(folder, f"{i}.png"))

    def call():
        dataset = fg.import_folders(str(home), f"hostile set {number}", progress=False)
        try:
            labels = set(dataset.distinct("ground_truth.label"))
            fg.export_folders(dataset, str(root / "out" / f"set {number}"), progress=False)
            assert len(dataset) == 4
            assert len(labels) == 2
        finally:
            dataset.delete()

    return Input(
        "import_folders",
        "class folders",
        shown(value),
        call,
        (str(home), "name", "class", "called"),
    )


def dataset_name(value, root, source: random.Random) -> Input:
    given = {"name": value}
    if source.random() < 0.4:
        given = {
            "name": "hostile named",
            source.choice(("label_field", "max_pixels", "skip")): value,
        }

    def call():
        before = set(fo.list_datasets())
        try:
            fg.import_folders(str(root / "digits"), **given, progress=False)
        finally:
            made = set(fo.list_datasets()) - before
            for name in made:
                fo.delete_dataset(name)
        assert len(made) <= 1

    words = ("name", "ield", "max_pixels", "skip", "exists already", "Dataset")
    return Input("import_folders", "dataset names", shown(given), call, words)


def run_by_name(dataset, value, root, source: random.Random) -> Input:
    verb = source.choice((fg.load_run, fg.delete_run, fg.predict, fg.export_run, fg.import_run))
    more = {"folder": str(root / "out" / "run")} if verb is fg.export_run else {}

    def call():
        if verb is fg.import_run:
            return fg.import_run(dataset, value)
        return verb(dataset, value, **more)

    words = ("run", "Run", "key", "weights", "folder")
    return Input(verb.__name__, "runs by name", shown(value), call, words)


def inputs(place, folder, seed: int, each: int) -> list[Input]:
    """So many inputs of each kind."""
    dataset, root = place
    source, found = random.Random(f"names {seed}"), []
    (folder / "digits").symlink_to(root / "digits", target_is_directory=True)
    (folder / "out").mkdir()
    make = {
        "new keys": lambda value, _: rename(dataset, value),
        "training keys": lambda value, _: train(dataset, value),
        "fields": lambda value, _: predict(dataset, value, source),
        "splits": lambda value, _: split(dataset, value, source),
        "label fields": lambda value, _: label_field(dataset, value, source),
        "classes": lambda value, number: classes(dataset, value[:3000], folder, number, source),
        "class folders": lambda value, number: class_folders(value, folder, number),
        "dataset names": lambda value, _: dataset_name(value, folder, source),
        "runs by name": lambda value, _: run_by_name(dataset, value, folder, source),
    }
    for kind, made in make.items():
        texts = source.sample(names(f"{kind} {seed}", len(TEXTS) + each), each)
        for number, text in enumerate(texts):
            is_text = kind in ("classes", "class folders") or source.random() > 0.25
            value = text if is_text else source.choice(OTHERS)
            found.append(made("b" if value == "a" else value, number))
    return [item for item in found if item is not None]


def check(items: list[Input], place, folder) -> None:
    dataset, root = place
    before, own = state_of(dataset), tree_of(root)

    def is_unchanged(item: Input, error: Exception | None) -> None:
        now = state_of(dataset)
        if error is None or now["tags"] != before["tags"]:
            restored(dataset, before)
            now = state_of(dataset)
        assert now == before, f"{item.kind}: {item.what}: {error}: the dataset has changed"

    homes = [files_folder(), folder / "out"]
    judge_all(items, homes, is_unchanged)
    assert tree_of(root) == own


def test_hostile_names_in_the_default_suite(place, tmp_path):
    check(some(inputs(place, tmp_path, 0, 8), 0, 14), place, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 5))
def test_hostile_names(seed, place, tmp_path):
    check(inputs(place, tmp_path, seed, 30), place, tmp_path)
