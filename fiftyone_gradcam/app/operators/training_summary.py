"""A summary of a training, shown before it starts."""

from __future__ import annotations

import fiftyone as fo
import fiftyone.operators as foo
from fiftyone.operators import types

from ...dataset.fields import OWNER, path_in, root_dataset, whole
from ...dataset.splits import split_tags
from ...jobs.measure import known, measured, wait_for_measurement
from ...training.known_recipes import RECIPES, find_recipe
from ..texts import duration
from .forms import notice, refuse
from .split_preview import parts_of

PATIENCE_SECONDS = 0.5  # a form must not wait for PyTorch to be loaded
LONGEST_SECONDS = 60.0  # maximum time to wait for a measurement
START_SECONDS = 5.0  # of the process, and of PyTorch
MOST_NAMES = 8
DEVICES = {"cpu": "on the CPU", "cuda": "on the GPU", "mps": "on Apple's GPU"}
NOT_CHOICES = ("samples", "key", "recipe", "label_field", "watch", "include_excluded")
ESTIMATE = "training_estimate"


def summary_view(inputs: types.Object, given: dict) -> None:
    """Show the data, the network, the device and the estimated time of a training.

    Args:
        inputs: the form
        given: the arguments of `fine_tune`, by name
    """
    first = _split_first(given)
    by_class, val_count, paths = _images(given) if first is None else first
    if len(by_class) < 2:
        refuse(inputs, "few_classes", _too_few(given, by_class))
        return
    total = sum(by_class.values())
    names = [f"{name} {count}" for name, count in list(by_class.items())[:MOST_NAMES]]
    more = f" and {len(by_class) - MOST_NAMES} more classes" if len(by_class) > MOST_NAMES else ""
    parts = [f"{total} training images ({', '.join(names)}{more})", _validation(val_count)]
    if first is not None:
        parts.insert(0, "Not split yet: the images are split into train, val and test first")
    frozen = given.get("freeze", RECIPES[given["recipe"]].choices.get("freeze", "none"))
    learns = {"none": "All layers are trained", "backbone": "Only the new layers are trained"}
    parts.append(learns.get(frozen, f"All but the first {frozen} stages are trained"))
    request = _request(given, by_class, val_count, paths)
    found = measured(request, PATIENCE_SECONDS)
    if found is not None:
        parts.append(_time(found))
    notice(inputs, "summary", ". ".join(parts))
    if found is None:  # the form is rebuilt when the measurement is complete
        about = {name: x for name, x in request.items() if name != "paths"}
        inputs.loader(
            ESTIMATE,
            type=types.Object(),
            operator=f"{OWNER}/{ESTIMATE}",
            params={"about": repr(about)},
            label="Estimating the time ...",
            dependencies=["about"],
        )


def expected_seconds(given: dict) -> float | None:
    """Return the time that the form has estimated for a training; None if it did not.

    Args:
        given: the arguments of `fine_tune`, by name
    """
    found = known(_request(given, *(_split_first(given) or _images(given))))
    return found["seconds"] + START_SECONDS if found and "seconds" in found else None


def _request(given: dict, by_class: dict[str, int], val_count: int, paths: list[str]) -> dict:
    """Return what `measured` is asked for."""
    return {
        "recipe": given["recipe"],
        "choices": {name: value for name, value in given.items() if name not in NOT_CHOICES},
        "classes": len(by_class),
        "train_images": sum(by_class.values()),
        "val_images": val_count,
        "paths": paths,
    }


class TrainingEstimate(foo.Operator):
    """Wait for the measurement that a form has started; an unlisted operator."""

    @property
    def config(self) -> foo.OperatorConfig:
        """Return the configuration of an unlisted operator."""
        return foo.OperatorConfig(name=ESTIMATE, label=ESTIMATE, unlisted=True)

    def execute(self, ctx) -> dict:
        """Answer when the measurement is complete, or the waiting time is over."""
        return {"is_there": wait_for_measurement(LONGEST_SECONDS)}


def _too_few(given: dict, by_class: dict[str, int]) -> str:
    found = f"of {len(by_class)} class{'es' * (len(by_class) != 1)}" if by_class else "none"
    where = "" if isinstance(given["samples"], fo.Dataset) else " in this view"
    return (
        f"A classifier needs training images of two classes, and there are {found}{where}. Tag "
        f"images as train (Split does it), or choose other samples"
    )


def _images(given: dict) -> tuple[dict[str, int], int, list[str]]:
    """Return training images by class, the number of validation images, and some paths."""
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


def _split_first(given: dict) -> tuple[dict[str, int], int, list[str]] | None:
    """Return the same as `_images` for a dataset that `fine_tune` will split first; else None."""
    samples = given["samples"]
    if not isinstance(samples, fo.Dataset):
        return None
    if len(samples.match_tags(sorted(split_tags(samples))).limit(1)):
        return None
    split = {"fractions": find_recipe(given["recipe"]).fractions, "seed": 0, "groups": None}
    found, *_ = parts_of({"samples": samples, "label_field": given["label_field"], **split})
    counts = found["train"]
    if most := given.get("images_per_class"):
        counts = {name: min(count, most) for name, count in counts.items()}
    val_count = sum(found.get("val", {}).values())
    return dict(sorted(counts.items())), val_count, _some_paths(samples)


def _some_paths(samples: fo.DatasetView) -> list[str]:
    return samples.limit(8).values("filepath")


def _validation(count: int) -> str:
    if count:
        return f"{count} validation images"
    return "No validation images: tag some as val to see how well it learns"


def _time(found: dict) -> str:
    if "error" in found:
        return f"The time could not be estimated ({found['error']})"
    where = DEVICES.get(found["device"], f"on {found['device']}")
    return f"About {duration(found['seconds'] + START_SECONDS)} {where}"
