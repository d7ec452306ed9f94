"""Find a learning rate on a dataset."""

from __future__ import annotations

import os
from dataclasses import replace

import fiftyone as fo

from ..dataset import fields
from ..dataset.files import dataset_folder
from ..dataset.training_sets import training_data
from ..dataset.writing import alone_in
from ..jobs.delegating import delegable
from ..progress import Progress, reporting, tell_failures
from ..training.drawn_curves import draw_learning_rate_test
from ..training.learning_rate import LearningRateTest, range_test
from ..training.recipe import Recipe
from ..training.recipes import make_recipe

Samples = fo.core.collections.SampleCollection
PICTURE = "learning_rate.png"


@delegable
def find_learning_rate(
    samples: Samples,
    recipe: str | Recipe = "default",
    lowest: float = 1e-7,
    highest: float = 1.0,
    steps: int = 100,
    path: str | None = None,
    label_field: str = "ground_truth",
    device: str | None = None,
    progress: Progress = None,
    delegate: bool = False,
    overwrite: bool = False,
    **choices,
) -> LearningRateTest:
    """Let the learning rate rise over some steps of a recipe's training, draw the loss over it,
    and suggest one (see `fiftyone_gradcam.training.learning_rate`). Nothing is trained for good.

    Args:
        samples: a dataset or view, as for `fine_tune`
        recipe: a name, or a `Recipe`
        lowest, highest: rates of the first and last step, in (0, 10]
        steps: how many, at least 20
        path: of the picture, a PNG; None: a file of this plugin's for the dataset, which is
            replaced each time
        label_field: field of the classes
        device: such as "cpu" or "cuda"; None takes the best at hand
        progress: a bar (True), none (False), FiftyOne's setting (None), or a function that is
            called with (done, total, message)
        delegate: do the work in another process, as a job, and return the `Job` at once
        overwrite: replace a file at `path`
        **choices: any choices of `fiftyone_gradcam.training.recipe.Recipe`, instead of those of the
            recipe

    Returns:
        the test; its `suggestion` may be passed to `fine_tune` as `learning_rate`, and its `path`
        is the picture

    Raises:
        ValueError: as `fine_tune`; or if `path` is not a PNG or exists, or a number is out of range
    """
    dataset = fields.root_dataset(samples)
    path = _checked(path, overwrite) or os.path.join(dataset_folder(dataset), PICTURE)
    recipe = make_recipe(recipe, **choices).shown_by("crop")
    classes, train_set, _ = training_data(samples, label_field, recipe)
    message = f"Testing learning rates of {recipe.backbone}"
    with reporting(progress, message) as report:
        test = range_test(
            recipe,
            len(classes),
            train_set,
            lowest,
            highest,
            steps,
            device,
            lambda done, total: report(done, total, message),
        )
    tell_failures(train_set.images.failures)
    test = replace(test, path=path)
    with alone_in(os.path.dirname(path)):
        draw_learning_rate_test(test, path, f"{dataset.name}: {recipe.backbone}")
    print(test)
    print(f"The curve: {path}")
    return test


def _checked(path: str | None, overwrite: bool) -> str | None:
    if path is None:
        return None
    path = os.path.abspath(os.path.expanduser(path))
    if not path.lower().endswith(".png"):
        raise ValueError(f"path={path!r} is not the name of a PNG file. End it with .png")
    if os.path.isdir(path):
        raise ValueError(f"path={path!r} is a folder. Pass the path of a file")
    if os.path.exists(path) and not overwrite:
        raise ValueError(
            f"The file {path!r} exists. Choose another path, or pass overwrite=True to replace it"
        )
    return path
