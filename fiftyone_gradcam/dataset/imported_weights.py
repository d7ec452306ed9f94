"""Turn a checkpoint that was trained elsewhere into the record and the file of a run."""

from __future__ import annotations

import os
from collections.abc import Sequence

import fiftyone as fo

from ..model.checkpoint import save_checkpoint
from ..model.sound import check_classes
from ..model.state_file import check_weights_file
from ..model.weights import create_classifier
from ..training.recipe import Recipe
from .fields import labels_of
from .run_files import CHECKPOINT


def facts_of_weights(
    dataset: fo.Dataset,
    weights: str,
    backbone: str | None,
    classes: Sequence[str] | None,
    label_field: str | None,
    image_size: int | None,
    resize: str | None,
) -> dict:
    """Return the record of a run for a checkpoint; see `import_run` for the arguments.

    Raises:
        ValueError: if an argument is missing or invalid
        FileNotFoundError: if the file does not exist
    """
    check_weights_file(weights)
    if backbone is None:
        raise ValueError("Pass backbone=, the network of the weights, such as 'resnet18'")
    field = label_field or "ground_truth"
    if classes is None or label_field is not None:
        _, _, labels = labels_of(dataset, field)
    if classes is None:
        classes = sorted({label for label in labels if label is not None})
        print(f"Using the classes of {field!r} in alphabetical order")
    # How it was trained, and from which weights, is unknown. Its own weights must not be used as
    # pretrained ones: they may have been trained on the labels of this dataset.
    recipe = Recipe(
        backbone=backbone, weights="none", image_size=image_size, resize=resize or "crop"
    )
    return {
        "backbone": backbone,
        "classes": list(check_classes(classes)),
        "recipe": recipe.to_dict(),
        **{name: [] for name in ("history", "validations", "findings")},
        "best_epoch": 0,
        "label_field": field,
        **dict.fromkeys(("val_accuracy", "val_images", "watched")),
    }


def unpack_weights(weights: str, facts: dict, target: str) -> None:
    """Convert a checkpoint into the checkpoint file of a run.

    Args:
        weights: path of the checkpoint
        facts: see `facts_of_weights`
        target: the folder to write to, which is created; the caller removes it after a failure

    Raises:
        ValueError: if the weights do not fit the backbone or the number of classes
    """
    model = create_classifier(facts["backbone"], len(facts["classes"]), weights)
    description = {name: facts[name] for name in ("backbone", "classes", "recipe")}
    save_checkpoint(os.path.join(target, CHECKPOINT), model.state_dict(), description)
