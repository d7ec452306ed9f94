"""What tests of kept features look at."""

from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from made_runs import SIZE

from fiftyone_gradcam.dataset import feature_sources
from fiftyone_gradcam.dataset.features import features_of
from fiftyone_gradcam.dataset.files import dataset_folder
from fiftyone_gradcam.images import batches
from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.model.backbones import get_backbone

CLOSE = {"rel": 2**-10, "abs": 1e-5}  # of float16, and of folded batch norms


class Counts:
    """How many images were forwarded and decoded."""

    def __init__(self):
        self.forwarded = self.decoded = 0


@contextmanager
def counting():
    """Count the images that the first layers of all networks see, and those that are decoded."""
    counts, decode = Counts(), batches.decode

    def see(module, inputs, output):
        if isinstance(module, torch.nn.Conv2d) and module.in_channels == 3:
            counts.forwarded += len(inputs[0])

    def counted(*args):
        counts.decoded += 1
        return decode(*args)

    hook = torch.nn.modules.module.register_module_forward_hook(see)
    try:
        with patch.object(batches, "decode", counted):
            yield counts
    finally:
        hook.remove()


def kept_of(dataset, run, ids=None, resize="squash") -> np.ndarray:
    """Features by the network of a run."""
    view = dataset if ids is None else dataset.select(ids, ordered=True)
    ids, paths = view.values(["id", "filepath"])
    images = Images(paths, SIZE, resize=run.recipe["resize"])
    return features_of(dataset, ids, images, run.network("cpu"), lambda *_: None, run)


def fresh_of(dataset, run) -> np.ndarray:
    """The same by the network as it was stored, caught on its way: with nothing folded or kept."""
    model, found = run.load_model(), []
    layer = model.get_submodule(run.layer)
    hook = layer.register_forward_hook(lambda _, __, output: found.append(output))
    images = Images(dataset.values("filepath"), SIZE, resize=run.recipe["resize"])
    (batch,) = images.batches(len(dataset))
    with torch.no_grad():
        model(get_backbone("small_cnn").normalize(batch.images))
    hook.remove()
    return found[0].mean((2, 3)).numpy()


def folder_of(dataset, run) -> str:
    """Where the features of a run are kept."""
    return feature_sources.folder_of(
        dataset, feature_sources.source_of(dataset, run.network("cpu"), run)
    )


def features_in(dataset) -> list[str]:
    """Folders of all sources of features of a dataset."""
    home = Path(dataset_folder(dataset), "features")
    return sorted(map(str, home.iterdir())) if home.is_dir() else []
