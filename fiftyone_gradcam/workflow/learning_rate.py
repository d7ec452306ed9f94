"""Find a learning rate with a range test."""

from __future__ import annotations

import os
from dataclasses import replace

import fiftyone as fo

from ..dataset import fields
from ..dataset.files import dataset_folder
from ..dataset.training_sets import training_data
from ..dataset.writing import alone_in
from ..jobs.delegating import delegable
from ..progress import Progress, report_failures, reporting
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
    """Run a learning rate range test, plot the loss, and suggest a learning rate.

    The learning rate increases over a number of training steps (see
    `fiftyone_gradcam.training.learning_rate`). The trained weights are discarded.

    Args:
        samples: a dataset or view, as for `fine_tune`
        recipe: a `Recipe`, or the name of one in `fiftyone_gradcam.training.known_recipes.RECIPES`,
            such as "default"
        lowest, highest: learning rates of the first and the last step, in (0, 10]
        steps: number of steps, at least 20
        path: path of the plot, a PNG file; by default (None), a file in the plugin's folder for the
            dataset, which is replaced
        label_field: field with the labels of the samples
        device: a torch device such as "cpu" or "cuda"; by default (None), a GPU if there is one
        progress: True for a progress bar, False for none, or a function that is called with (done,
            total, message); by default (None), FiftyOne's setting `show_progress_bars` decides
        delegate: run as a job in another process and return the `Job` at once; `Job.wait()` waits
            until it ends
        overwrite: replace the file at `path` if it exists
        **choices: options of `fiftyone_gradcam.training.recipe.Recipe`, such as `epochs=10`, which
            replace those of `recipe`

    Returns:
        the `LearningRateTest`; pass its `suggestion` to `fine_tune` as `learning_rate`; its `path`
        is the path of the plot

    Raises:
        ValueError: as in `fine_tune`; or if `path` is not a PNG file or exists, or a number is out
            of range
    """
    dataset = fields.root_dataset(samples)
    path = _checked(path, overwrite) or os.path.join(dataset_folder(dataset), PICTURE)
    recipe = make_recipe(recipe, **choices).with_resize("crop")
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
    report_failures(train_set.images.failures)
    test = replace(test, path=path)
    with alone_in(os.path.dirname(path)):
        draw_learning_rate_test(test, path, f"{dataset.name}: {recipe.backbone}")
    print(test)
    print(f"Plot: {path}")
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
