"""Fine-tune a classifier on a dataset."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import fiftyone as fo
import numpy as np

from ..dataset import fields, runs
from ..images.batches import Images
from ..model.checkpoint import save_checkpoint
from ..model.recipe import Recipe
from ..model.training import Epoch, Labelled, train
from .progress import Progress, reporting, some, tell_failures
from .watching import Watch, choose_watched

Samples = fo.core.collections.SampleCollection
CACHE_BYTES = 2 << 30  # decoded images kept between epochs


def fine_tune(
    samples: Samples,
    key: str,
    backbone: str = "resnet18",
    weights: str = "imagenet",
    epochs: int = 5,
    seed: int = 0,
    label_field: str = "ground_truth",
    overwrite: bool = False,
    watch: int | Sequence[str] = 0,
    device: str | None = None,
    progress: Progress = None,
    **recipe_options,
) -> runs.Run:
    """Train a classifier on the samples tagged "train" and record it on the dataset.

    Samples tagged "val" are watched, and the epoch that does best on them is kept. A view without
    "train" tags is trained on as a whole, without its samples tagged "val" or "test".

    Args:
        samples: a dataset or view
        key: name of the run; letters, digits and underscores
        backbone: such as "resnet18", "squeezenet1_1" or "small_cnn"
        weights: "imagenet" (torchvision's own, downloaded once), "none" (from scratch), or the
            path of a file of weights
        epochs: passes over the training images
        seed: of everything random
        label_field: field of the classes
        overwrite: replace a run of this key
        watch: keep a Grad-CAM of the own label of so many samples (those tagged "val" first), or
            of the samples of these ids, at each epoch; a strip of pictures shows how the focus
            moved (`run.watch`)
        device: such as "cpu" or "cuda"; None takes the best at hand
        progress: see `import_folders`
        **recipe_options: any other choice of `fiftyone_gradcam.model.recipe.Recipe`, such as
            batch_size, learning_rate, image_size or horizontal_flip

    Raises:
        ValueError: if a choice is not understood, the key is taken, nothing is tagged "train",
            or there are fewer than two classes
        FileNotFoundError: if there is no such weights file
        ConnectionError: if ImageNet weights are neither cached nor to be downloaded
    """
    dataset = fields.root_dataset(samples)
    runs.check_key(dataset, key, overwrite)
    recipe = make_recipe(backbone, weights, epochs=epochs, seed=seed, **recipe_options)
    classes, train_set, val_set = _training_data(samples, label_field, recipe)
    watched = choose_watched(samples, watch, label_field, classes, seed)
    eye = Watch(samples, watched, label_field, classes, recipe) if watched else None
    with reporting(progress, f"Training {backbone} on {len(train_set)} images") as report:
        last = f"Training {backbone}"

        def on_step(done: int, total: int, epoch: Epoch | None) -> None:
            nonlocal last
            if epoch is not None:
                last = str(epoch)
                print(f"\r{last:<79}", flush=True)  # over the bar, which is drawn again below
            report(done, total, last)

        trained = train(recipe, len(classes), train_set, val_set, device, on_step, eye)
    for part in (train_set, val_set):
        if part is not None:
            tell_failures(part.images.failures)
    checkpoint = runs.checkpoint_path(dataset, key)
    is_new = key not in dataset.list_runs()
    run = runs.Run(
        key=key,
        dataset_name=dataset.name,
        classes=classes,
        recipe=recipe.to_dict(),
        history=[epoch.to_dict() for epoch in trained.history],
        best_epoch=trained.best_epoch,
        label_field=label_field,
        checkpoint=checkpoint,
        watch=None,
    )
    description = {"backbone": backbone, "classes": classes, "recipe": run.recipe}
    try:
        if eye is not None:
            run = replace(run, watch=eye.save(os.path.dirname(checkpoint)))
        save_checkpoint(checkpoint, trained.model.state_dict(), description)
        runs.save_run(dataset, run)
    except BaseException:
        if is_new:  # a run is recorded whole or not at all
            runs.remove_run_files(dataset, key)
        raise
    print(f"Saved {run}")
    if run.watch:
        print(f"How the focus moved: {run.watch['strip']}")
    return run


def make_recipe(backbone: str, weights: str, **options) -> Recipe:
    """A recipe from a verb's options.

    Raises:
        ValueError: if an option is unknown or its value out of range
    """
    known = [name for name in Recipe.__dataclass_fields__ if name not in ("backbone", "weights")]
    if unknown := sorted(options.keys() - set(known)):
        raise ValueError(f"There is no option {unknown[0]!r}. Options: {', '.join(known)}")
    return Recipe(backbone=backbone, weights=weights, **options)


def _training_data(
    samples: Samples, label_field: str, recipe: Recipe
) -> tuple[list[str], Labelled, Labelled | None]:
    """Classes, training set and watched set of a collection (see `fine_tune`)."""
    dataset = fields.root_dataset(samples)
    fields.check_label_field(samples, label_field)
    chosen = samples.match_tags("train")
    if not len(chosen):
        if isinstance(samples, fo.Dataset):
            raise ValueError(
                f"No sample of {dataset.name!r} is tagged 'train'. Call split() first, or pass a "
                f"view to train on"
            )
        chosen = samples.match_tags(["val", "test"], bool=False)
    watched = samples.match_tags("val")
    watched = watched if len(watched) else dataset.match_tags("val")
    _, _, labels = fields.labels_of(chosen, label_field)
    counts = fields.class_counts(labels)
    if len(counts) < 2:
        raise ValueError(
            f"Training needs at least two classes in {label_field!r}; the {len(labels)} training "
            f"samples have {', '.join(map(repr, counts)) or 'no labels'}"
        )
    if unlabelled := labels.count(None):
        print(f"{unlabelled} training samples have no label, and are left out")
    single = [label for label, count in counts.items() if count == 1]
    if single:
        print(f"Only one training image of {some(single)}: expect little of these classes")
    classes = list(counts)
    train_set, _ = _labelled(chosen, label_field, classes, recipe, CACHE_BYTES)
    rest = max(0, CACHE_BYTES - 3 * recipe.image_size**2 * len(train_set.images))
    val_set, strangers = _labelled(watched, label_field, classes, recipe, rest)
    if strangers:
        print(f"Not watched, being of classes without training images: {some(strangers)}")
    if not len(val_set.images):
        print("No sample is tagged 'val': the last epoch is kept")
        return classes, train_set, None
    return classes, train_set, val_set


def _labelled(
    samples: Samples, label_field: str, classes: list[str], recipe: Recipe, cache_bytes: int
) -> tuple[Labelled, list[str]]:
    """The samples of known classes as images with class indexes; and the unknown classes."""
    _, paths, labels = fields.labels_of(samples, label_field)
    indexes = class_indexes(labels, classes)
    known = [path for path, index in zip(paths, indexes, strict=True) if index >= 0]
    strangers = sorted({x for x in labels if x is not None} - set(classes))
    images = Images(known, recipe.image_size, cache_bytes, resize=recipe.resize)
    return Labelled(images, indexes[indexes >= 0]), strangers


def class_indexes(labels: list[str | None], classes: list[str]) -> np.ndarray:
    """(N,) int64 index of each label among the classes, -1 for none and for others."""
    order = {label: index for index, label in enumerate(classes)}
    return np.array([order.get(label, -1) for label in labels], np.int64)
