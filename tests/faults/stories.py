"""What is done to a dataset, so that it can be disturbed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import comparing
import fiftyone as fo
from conftest import QUICK, save_digits
from made_runs import make_run

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.files import dataset_folder

TRAINING = {**QUICK, "epochs": 2, "device": "cpu", "progress": False}
QUIET = {"device": "cpu", "progress": False}


@dataclass
class Place:
    """Where a story happens.

    Attributes:
        folder: of its own, empty at first
        name: of its dataset
    """

    folder: Path
    name: str

    @property
    def photos(self) -> Path:
        """The folder that is imported."""
        return self.folder / "photos"

    @property
    def out(self) -> Path:
        """Where exports go."""
        return self.folder / "out"

    @property
    def dataset(self) -> fo.Dataset:
        """Its dataset."""
        return fo.load_dataset(self.name)

    def clean(self) -> None:
        """Delete all that is left of a story."""
        if fo.dataset_exists(self.name):
            folder = dataset_folder(self.dataset)
            fo.delete_dataset(self.name)
            shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True)
class Story:
    """A call, and what it begins with.

    Attributes:
        name: of the story
        prepare: makes what is there before
        call: the call that is disturbed
        again: what a person calls afterwards; None for the same
        writes_into: names of the fields that it writes
        decides: names of fields, the user's labels among them, that one write changes
        is_done: whether nothing is left to do, so that calling again is an error
        exports: whether it writes to the folder `out`
        keeps: whether what is kept of images belongs to what it comes to
        is_sampled: whether the default suite disturbs it, too; another that it does is much like it
    """

    name: str
    prepare: Callable[[Place], None]
    call: Callable[[Place], object]
    again: Callable[[Place], object] | None = None
    writes_into: tuple[str, ...] = ()
    decides: tuple[str, ...] = ()
    is_done: Callable[[Place], bool] = field(default=lambda place: False)
    exports: bool = False
    keeps: bool = False
    is_sampled: bool = True

    def repeat(self, place: Place) -> object:
        """Call again."""
        return (self.again or self.call)(place)


def empty(place: Place) -> None:
    """Only photos."""
    save_digits(place.photos, per_class=4)


def with_a_broken_file(place: Place) -> None:
    """And a file that is no image."""
    empty(place)
    (place.photos / "digit 0" / "broken.png").write_bytes(b"no image")


def imported(place: Place) -> None:
    """Photos as a dataset, with something of the user's."""
    empty(place)
    dataset = fg.import_folders(str(place.photos), place.name, progress=False)
    values = {x: f"note {os.path.basename(x)}" for x in dataset.values("filepath")}
    dataset.set_values("mine", values, key_field="filepath")
    dataset.tag_samples("users")


def split(place: Place) -> None:
    """And split."""
    imported(place)
    fg.split(place.dataset, {"train": 0.5, "val": 0.25, "test": 0.25})


def larger(place: Place) -> None:
    """Enough photos of each class to judge their labels, and split."""
    save_digits(place.photos, per_class=6)
    fg.import_folders(str(place.photos), place.name, progress=False)
    fg.split(place.dataset, {"train": 0.5, "val": 0.25, "test": 0.25})


def with_runs(place: Place) -> None:
    """And two runs, which no training made."""
    split(place)
    for seed, key in enumerate("ab"):
        make_run(place.dataset, key, seed=seed, files=False)


def predicted(place: Place) -> None:
    """And what the first says."""
    with_runs(place)
    fg.predict(place.dataset, "a", **QUIET)


def trained(place: Place) -> None:
    """And a run that a training made."""
    split(place)
    fg.fine_tune(place.dataset, "first", **TRAINING)


def grown(place: Place) -> None:
    """More photos than were imported."""
    imported(place)
    shutil.rmtree(place.photos)
    save_digits(place.photos, per_class=6)


def exported_run(place: Place) -> None:
    """A run in a folder."""
    with_runs(place)
    fg.export_run(place.dataset, "a", str(place.folder / "exported"))


def exported_before(place: Place) -> None:
    """A folder that another run was exported to."""
    with_runs(place)
    fg.export_run(place.dataset, "b", str(place.out))


def with_twins(place: Place) -> None:
    """The same photo in two splits."""
    split(place)
    dataset = place.dataset
    train, test = (dataset.match_tags(tag).first().filepath for tag in ("train", "test"))
    shutil.copyfile(train, test)


def moved(place: Place) -> None:
    """Photos that are elsewhere now."""
    predicted(place)
    place.photos.rename(place.folder / "moved")


def _import(place: Place, **options) -> object:
    return fg.import_folders(str(place.photos), place.name, progress=False, **options)


def _export_overlays(place: Place, **options) -> object:
    return fg.export_overlays(place.dataset, str(place.out), "gradcam", **options)


def _preview(place: Place, **options) -> object:
    choices = {"backbone": "small_cnn", "weights": "none", "image_size": 16}
    path = str(place.out / "sheet.png")
    return fg.preview_augmentation(place.dataset, path=path, count=2, **choices, **options)


def _mean_heatmaps(place: Place, **options) -> object:
    return fg.mean_heatmaps(place.dataset, "gradcam", folder=str(place.out), **options)


def _resume(place: Place) -> object:
    from fiftyone_gradcam.dataset.run_files import can_resume

    own = {"resume": True} if can_resume(place.dataset, "first") else TRAINING
    return fg.fine_tune(place.dataset, "first", **{**own, "progress": False})


MAPS = ("predicted", "label")
STORIES = [
    Story("import", empty, _import),
    Story("import again", grown, _import),
    Story("replace by import", grown, lambda p: _import(p, overwrite=True)),
    Story("import with a report", with_a_broken_file, _import),
    Story("split", imported, lambda p: fg.split(p.dataset)),
    Story("split again", split, lambda p: fg.split(p.dataset, {"train": 0.5, "test": 0.5}, seed=1)),
    Story(
        "fine_tune",
        split,
        lambda p: fg.fine_tune(p.dataset, "first", **TRAINING),
        again=_resume,
        is_done=lambda p: "first" in p.dataset.list_runs(),
    ),
    Story(
        "replace by fine_tune",
        trained,
        lambda p: fg.fine_tune(p.dataset, "first", overwrite=True, **{**TRAINING, "seed": 1}),
    ),
    Story(
        "predict", with_runs, lambda p: fg.predict(p.dataset, "a", heatmaps=MAPS, **QUIET),
        writes_into=("prediction", "prediction_scores", "gradcam", "gradcam_label"),
    ),
    Story(
        "resume predict",
        with_runs,
        lambda p: fg.predict(p.dataset, "a", heatmaps=MAPS, **QUIET),
        again=lambda p: fg.predict(p.dataset, "a", heatmaps=MAPS, resume=True, **QUIET),
        writes_into=("prediction", "prediction_scores", "gradcam", "gradcam_label"),
    ),
    Story(
        "predict by another run", predicted, lambda p: fg.predict(p.dataset, "b", **QUIET),
        writes_into=("prediction", "prediction_scores", "gradcam"),
    ),
    Story(
        "find_label_issues",
        larger,
        lambda p: fg.find_label_issues(
            p.dataset, folds=2, epochs=1, backbone="small_cnn", weights="none", **QUIET
        ),
        writes_into=("label_quality", "suggested_label", "issue"),
    ),
    Story(
        "find_leaks", with_twins, lambda p: fg.find_leaks(p.dataset, near=False),
        writes_into=("leak",),
    ),
    Story(
        "explanation_quality", predicted,
        lambda p: fg.explanation_quality(p.dataset.limit(3), "a", steps=2, **QUIET),
    ),
    Story(
        "rename_run", predicted, lambda p: fg.rename_run(p.dataset, "a", "c"),
        is_done=lambda p: set(p.dataset.list_runs()) == {"b", "c"},
    ),
    Story(
        "delete_run", predicted, lambda p: fg.delete_run(p.dataset, "a"),
        is_done=lambda p: not (
            "a" in p.dataset.list_runs() or os.path.exists(f"{dataset_folder(p.dataset)}/runs/a")
        ),
    ),
    Story(
        "import_run",
        exported_run,
        lambda p: fg.import_run(p.dataset, str(p.folder / "exported"), "c"),
        is_done=lambda p: "c" in p.dataset.list_runs(),
    ),
    Story(
        "replace by import_run", exported_run,
        lambda p: fg.import_run(p.dataset, str(p.folder / "exported"), "b", overwrite=True),
    ),
    Story(
        "export_run", with_runs, lambda p: fg.export_run(p.dataset, "a", str(p.out)),
        is_done=lambda p: p.out.exists(), exports=True,
    ),
    Story(
        "export_run again", exported_before,
        lambda p: fg.export_run(p.dataset, "a", str(p.out), overwrite=True), exports=True,
    ),
    Story(
        "export_folders", split, lambda p: fg.export_folders(p.dataset, str(p.out)), exports=True,
        is_done=lambda p: p.out.exists() and any(p.out.iterdir()),
        again=lambda p: fg.export_folders(p.dataset, str(p.out), overwrite=True),
    ),
    Story(
        "export_overlays", predicted, _export_overlays,
        again=lambda p: _export_overlays(p, overwrite=True),
        exports=True,
    ),
    Story(
        "mean_heatmaps",
        predicted,
        _mean_heatmaps,
        again=lambda p: _mean_heatmaps(p, overwrite=True),
        exports=True,
    ),
    Story(
        "preview_augmentation", split, _preview, exports=True,
        again=lambda p: _preview(p, overwrite=True),
    ),
    Story(
        "relocate", moved,
        lambda p: fg.relocate(p.dataset, str(p.photos), str(p.folder / "moved")),
        is_done=lambda p: all(map(os.path.exists, p.dataset.values("filepath"))),
    ),
]  # fmt: skip


def state_of(story: Story, place: Place) -> dict:
    """All that there is after a story."""
    state = {}
    if fo.dataset_exists(place.name):
        state = comparing.state_of(place.dataset)
    if story.keeps:
        state["kept"] = comparing.kept_features(place.dataset)
    if story.exports:
        state["out"] = comparing.tree_of(str(place.out))
    return as_stored(place, state)


def as_stored(place: Place, value: object) -> object:
    """A value as it is compared: plain JSON, without where the story happens."""
    text = json.dumps(value, default=str)
    return json.loads(text.replace(str(place.folder), "HERE").replace(place.name, "IT"))
