"""What a training works on, and about how long it takes, without importing PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import fiftyone as fo

from ...dataset.fields import path_in, root_dataset, whole
from ...dataset.splits import split_tags
from ...jobs.fork_client import can_fork
from ...jobs.measure import known, measured
from ...jobs.speeds import keep_speed, kept_speed
from ...training.duration import Outline, Speed, estimate_seconds
from ...training.known_recipes import RECIPES, find_recipe
from ..texts import duration
from .recipe_fields import recipe_value
from .split_preview import parts_of

# Of the process, which is forked from one that has imported PyTorch, or else imports it.
START_SECONDS = 2.0 if can_fork() else 5.0
DEVICES = {"cpu": "on the CPU", "cuda": "on the GPU", "mps": "on Apple's GPU"}
NOT_CHOICES = ("samples", "key", "recipe", "label_field", "labels", "watch", "include_excluded")


@dataclass(frozen=True)
class Images:
    """The images of a training.

    Attributes:
        by_class: numbers of training images by class
        val_count: number of validation images
        paths: of some training images
        is_split: whether the samples have a split; otherwise the training splits them first
    """

    by_class: dict[str, int]
    val_count: int
    paths: list[str]
    is_split: bool = True

    @property
    def train_count(self) -> int:
        """The number of training images."""
        return sum(self.by_class.values())


@dataclass(frozen=True)
class Time:
    """About how long something takes.

    Attributes:
        seconds: with the start of its process; None if this could not be measured
        device: the torch device, such as "cpu"
        error: why it could not be measured
    """

    seconds: float | None = None
    device: str = ""
    error: str = ""

    def __str__(self) -> str:
        if self.seconds is None:
            return f"the time could not be estimated ({self.error})"
        where = DEVICES.get(self.device, self.device and f"on {self.device}")
        return f"about {duration(self.seconds)} {where}".rstrip()


def images_of(given: dict) -> Images:
    """Return the images of a training.

    Args:
        given: the arguments of `fine_tune`, by name
    """
    return _split_first(given) or _images(given)


def outline_of(given: dict) -> Outline:
    """Return the options of a training that matter for its duration."""
    return Outline.of({**RECIPES[given["recipe"]].choices, **choices_of(given)})


def training_time(
    given: dict, images: Images, patience: float | None, yields: bool = False
) -> Time | None:
    """Return about how long a training takes.

    Args:
        given: the arguments of `fine_tune`, by name
        images: those of the training
        patience, yields: see `speed_of`

    Returns:
        None if nothing is known yet
    """
    choices = {**RECIPES[given["recipe"]].choices, **choices_of(given)}
    dataset, count = root_dataset(given["samples"]), len(images.by_class)
    speed = speed_of(dataset, given["recipe"], choices, count, images.paths, patience, yields)
    if not isinstance(speed, Speed):
        return speed
    outline = Outline.of(choices).settled(images.train_count)
    seconds = estimate_seconds(speed, outline, images.train_count, images.val_count)
    return Time(seconds + START_SECONDS, speed.device)


def speed_of(
    dataset: fo.Dataset,
    recipe: str,
    choices: dict,
    classes: int,
    paths: list[str],
    patience: float | None,
    yields: bool = False,
) -> Speed | Time | None:
    """Return the speed of a network on the images of a dataset, as measured now or before.

    Args:
        dataset: the dataset
        recipe, choices: the recipe and options of its training
        classes: number of classes
        paths: of some images
        patience: how long to wait for a measurement that is started if there is none, in seconds;
            None to start none. It is not waited for if the speed was measured before
        yields: start no measurement if one was made within an hour, or another one is in progress

    Returns:
        a `Time` with the error if it cannot be measured; None if it is not known yet
    """
    network = recipe_value(choices, "backbone"), choices.get("image_size")
    usual = RECIPES[recipe].choices
    own = {name: x for name, x in choices.items() if recipe_value(usual, name) != x}
    # One measurement for all weights of a network, whose speed is the same.
    own["weights"] = "none" if choices.get("weights") == "none" else "auto"
    request = {"recipe": recipe, "choices": own, "classes": classes, "paths": paths}
    kept, is_fresh = kept_speed(dataset, *network)
    if patience is None or (yields and is_fresh):
        found = known(request)
    else:
        # Kept even if nobody waits for it: whoever comes back later has an estimate at once.
        keep = partial(_keep, dataset, *network)
        found = measured(request, 0.0 if kept else patience, yields, keep)
    if found is None:
        return kept
    if "error" in found:
        return Time(error=found["error"])
    if Speed(**found["speed"]) != kept:
        _keep(dataset, *network, found)
    return Speed(**found["speed"])


def _keep(dataset: fo.Dataset, backbone: str, image_size: int | None, found: dict) -> None:
    """Keep the result of a measurement, unless it is an error."""
    if "speed" in found and not dataset.deleted:
        for size in {image_size, found["image_size"]}:
            keep_speed(dataset, backbone, size, Speed(**found["speed"]))


def choices_of(given: dict) -> dict:
    """Return the options of a recipe among the arguments of `fine_tune`."""
    return {name: value for name, value in given.items() if name not in NOT_CHOICES}


def _images(given: dict) -> Images:
    samples = whole(given["samples"])
    label = path_in(root_dataset(samples), given["label_field"])
    train_view = samples.match_tags("train")
    if not train_view.limit(1):
        train_view = samples.match_tags(["val", "test"], bool=False)
    counts = {k: v for k, v in train_view.count_values(label).items() if k is not None}
    val_count = samples.match_tags("val").exists(label).count()
    return Images(_limited(counts, given), val_count, _some_paths(train_view))


def _split_first(given: dict) -> Images | None:
    """Return the images of a dataset that `fine_tune` will split first; None for another one."""
    samples = given["samples"]
    if not isinstance(samples, fo.Dataset):
        return None
    if len(samples.match_tags(sorted(split_tags(samples))).limit(1)):
        return None
    split = {"fractions": find_recipe(given["recipe"]).fractions, "seed": 0, "groups": None}
    found, *_ = parts_of({"samples": samples, "label_field": given["label_field"], **split})
    val_count = sum(found.get("val", {}).values())
    return Images(_limited(found["train"], given), val_count, _some_paths(samples), False)


def _limited(counts: dict[str, int], given: dict) -> dict[str, int]:
    most = given.get("images_per_class")
    return {name: min(n, most) if most else n for name, n in sorted(counts.items())}


def _some_paths(samples: fo.DatasetView) -> list[str]:
    return samples.limit(8).values("filepath")
