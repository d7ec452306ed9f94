"""What a network says of an image is computed once, kept, and found again; and nothing else is."""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_runs import SIZE, make_run, some_digits
from PIL import Image

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset import feature_files, kept_features
from fiftyone_gradcam.dataset.feature_files import FeatureWriter, open_features
from fiftyone_gradcam.dataset.features import features_of
from fiftyone_gradcam.dataset.files import dataset_folder
from fiftyone_gradcam.dataset.leftovers import find_leftovers, free
from fiftyone_gradcam.images import batches
from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.model.backbones import get_backbone
from fiftyone_gradcam.model.network import Network

CLOSE = {"rel": 2**-10, "abs": 1e-5}  # of float16, and of folded batch norms


@pytest.fixture
def dataset(tmp_path, name):
    """Some digits of three classes."""
    yield from some_digits(tmp_path / "digits", name)


class Counts:
    """How many images were forwarded and decoded."""

    def __init__(self):
        self.forwarded = self.decoded = 0


@contextmanager
def counting():
    """Count what all networks are asked, and what is decoded."""
    counts, split, decode = Counts(), Network.split, batches.decode

    def counted_split(network, inputs):
        counts.forwarded += len(inputs)
        return split(network, inputs)

    def counted_decode(*args):
        counts.decoded += 1
        return decode(*args)

    hook = torch.nn.modules.module.register_module_forward_hook(lambda *_: None)
    with patch.object(Network, "split", counted_split), patch.object(batches, "decode", counted_decode):
        yield counts
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


def test_predict_leaves_its_features_behind(dataset):
    run = make_run(dataset, "a")
    fg.predict(dataset, "a", progress=False)
    with counting() as counts:
        found = kept_of(dataset, run)
    assert (counts.forwarded, counts.decoded) == (0, 0)
    assert found == pytest.approx(fresh_of(dataset, run), **CLOSE)
