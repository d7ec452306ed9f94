"""What a training is about to do, in words, before it is begun."""

from __future__ import annotations

import fiftyone as fo
from fiftyone.operators import types

from ...dataset.fields import path_in, root_dataset, whole
from ...jobs.measure import measured
from ...training.known_recipes import RECIPES
from ..texts import duration
from .forms import refuse, tell

PATIENCE_SECONDS = 0.5  # a form must not wait for PyTorch to be loaded
MOST_NAMES = 8
DEVICES = {"cpu": "On the processor", "cuda": "On the GPU", "mps": "On Apple's GPU"}
NOT_CHOICES = ("samples", "key", "recipe", "label_field", "watch")


def summary_view(inputs: types.Object, given: dict) -> None:
    """Show what would be trained on, what learns, where, and how long it takes.

    Args:
        inputs: the form
        given: the arguments of `fine_tune`, by name
    """
    learnt, val_count, paths = _images(given)
    if len(learnt) < 2:
        refuse(
            inputs,
            "few_classes",
            f"There are training images of {len(learnt)} class{'es' * (len(learnt) != 1)}, and a "
            f"classifier needs two. Tag images as 'train' (Split does it), or choose other samples",
        )
        return
    total = sum(learnt.values())
    names = [f"{name} {count}" for name, count in list(learnt.items())[:MOST_NAMES]]
    more = f" and {len(learnt) - MOST_NAMES} more classes" if len(learnt) > MOST_NAMES else ""
    parts = [f"{total} images to train on ({', '.join(names)}{more})", _validation(val_count)]
    frozen = given.get("freeze", RECIPES[given["recipe"]].choices.get("freeze", "none"))
    learns = {"none": "All layers learn", "backbone": "Only the new layers learn"}
    parts.append(learns.get(frozen, f"All but the first {frozen} stages learn"))
    choices = {name: value for name, value in given.items() if name not in NOT_CHOICES}
    request = {"recipe": given["recipe"], "choices": choices, "classes": len(learnt)}
    request |= {"learnt": total, "val_images": val_count, "paths": paths}
    parts.append(_time(measured(request, PATIENCE_SECONDS)))
    tell(inputs, "summary", ". ".join(parts))


def _images(given: dict) -> tuple[dict[str, int], int, list[str]]:
    """Training images by class, number of validation images, and paths of some."""
    samples = whole(given["samples"])
    label = path_in(root_dataset(samples), given["label_field"])
    train_view = samples.match_tags("train")
    if not train_view.limit(1):
        train_view = samples.match_tags(["val", "test"], bool=False)
    counts = {k: v for k, v in train_view.count_values(label).items() if k is not None}
    if most := given.get("images_per_class"):
        counts = {name: min(count, most) for name, count in counts.items()}
    val_count = samples.match_tags("val").exists(label).count()
    return dict(sorted(counts.items())), val_count, _some_paths(train_view)


def _some_paths(samples: fo.DatasetView) -> list[str]:
    return samples.limit(8).values("filepath")


def _validation(count: int) -> str:
    if count:
        return f"{count} validation images"
    return "No validation images: tag some as 'val' to see how well it learns"


def _time(found: dict | None) -> str:
    if found is None:
        return "How long it takes is being measured: it is shown when a field is changed"
    if "error" in found:
        return f"How long it takes could not be measured ({found['error']})"
    where = DEVICES.get(found["device"], f"On {found['device']}")
    return f"{where} it takes about {duration(found['seconds'] + 5)}"
