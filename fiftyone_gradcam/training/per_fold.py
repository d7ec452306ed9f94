"""Cross-validation: class probabilities of images from networks that were not trained on them."""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import suppress

import numpy as np

from ..disk import whole_file
from ..images.batches import Images
from ..model.backbones import get_backbone
from ..model.device import pick_device
from ..passes.engine import run_pass
from ..passes.sinks import Logits
from ..progress import Report
from ..review.scores import softmax
from .history import Hooks
from .loop import train
from .recipe import Recipe
from .sources import InTraining, Labelled


def probabilities_per_fold(
    images: Images,
    judged: np.ndarray,
    targets: np.ndarray,
    fold: np.ndarray,
    recipe: Recipe,
    device: str | None,
    report: Report,
    home: str,
) -> np.ndarray:
    """Predict the images of each fold with a network trained on the other folds.

    The result of each fold is stored until all folds are done, so that an interrupted call resumes
    at the fold where it stopped.

    Args:
        images: image files
        judged: (n,) positions of the images to predict
        targets: (n,) their class indexes
        fold: (n,) the fold of each
        recipe: settings of each training
        device, report: see `train` and `Report`
        home: folder for the results of single folds; deleted when all folds are done

    Returns:
        (n, K) out-of-fold probabilities
    """
    backbone, num_classes = get_backbone(recipe.backbone), int(targets.max()) + 1
    labels = np.zeros(len(images), np.int64)
    labels[judged] = targets
    count = int(fold.max()) + 1
    probabilities = np.zeros((len(judged), num_classes))
    folder = os.path.join(home, _digest(images, judged, targets, fold, recipe))
    _remove_others(home, folder)
    for number in range(count):
        members = np.flatnonzero(fold == number)
        file = os.path.join(folder, f"{number}.npy")
        known = _kept(file, (len(members), num_classes))
        if known is not None:
            probabilities[members] = known
            continue

        def on_step(done: int, total: int, epoch: object, number: int = number) -> None:
            report(number * total + done, count * total, f"Training fold {number + 1} of {count}")

        rest = Labelled(images, labels, judged[fold != number])
        trained = train(recipe, num_classes, rest, device=device, hooks=Hooks(on_step))
        network = InTraining(trained.model, backbone, pick_device(device))
        sink = Logits(len(images))
        run_pass(images, network, [sink], recipe.batch_size, positions=judged[members])
        probabilities[members] = softmax(sink.rows[judged[members]])
        with whole_file(file) as part, open(part, "wb") as opened:
            np.save(opened, probabilities[members])
    shutil.rmtree(home, ignore_errors=True)
    return probabilities


def _digest(images: Images, judged, targets, fold, recipe: Recipe) -> str:
    """Return a digest that is the same for two calls if they would train the same networks."""
    found = hashlib.blake2b(repr(recipe).encode(), digest_size=12)
    found.update("\n".join(images.paths).encode("utf-8", "surrogateescape"))
    for path in images.paths:
        with suppress(OSError):
            found.update(str(os.stat(path).st_mtime_ns).encode())
    for values in (judged, targets, fold):
        found.update(np.ascontiguousarray(values, np.int64).tobytes())
    return found.hexdigest()


def _kept(file: str, shape: tuple[int, int]) -> np.ndarray | None:
    try:
        found = np.load(file)
    except (OSError, ValueError):
        return None
    return found if found.shape == shape else None


def _remove_others(home: str, folder: str) -> None:
    """Delete the results of calls with other arguments."""
    for name in os.listdir(home) if os.path.isdir(home) else ():
        if name != os.path.basename(folder):
            shutil.rmtree(os.path.join(home, name), ignore_errors=True)
