"""Pretrained networks see oblong images in the same way in each function, or as is asked for."""

import fiftyone as fo
import numpy as np
import pytest
import torch
from PIL import Image

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset import runs
from fiftyone_gradcam.dataset.layouts import RESTS_ON
from fiftyone_gradcam.dataset.run import pretrained
from fiftyone_gradcam.review.layout import layout
from fiftyone_gradcam.training.recipe import Recipe
from fiftyone_gradcam.workflow import faithfulness

NAME = "squeezenet1_1"
QUIET = {"progress": False, "device": "cpu"}


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> str:
    """A file of random weights."""
    import torchvision

    path = str(tmp_path_factory.mktemp("weights") / "random.pth")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        torch.save(torchvision.models.squeezenet1_1(weights=None).state_dict(), path)
    return path


@pytest.fixture
def dataset(tmp_path, name, one_thread):
    """Three images that are twice as wide as high."""
    dataset, random = fo.Dataset(name), np.random.default_rng(0)
    for number in range(3):  # as few as a layout can have
        pixels = random.integers(0, 255, (6, 12, 3)).astype(np.uint8)
        path = str(tmp_path / f"{number}.png")
        Image.fromarray(pixels).resize((96, 48), Image.Resampling.BICUBIC).save(path)
        own = fo.Classification(label="tench")
        dataset.add_sample(fo.Sample(path, ground_truth=own))
    return dataset


def test_heatmaps_are_explained_and_tested_as_they_were_made(dataset, weights, monkeypatch):
    options = {"heatmap_field": "cam", "weights": weights, "resize": "letterbox"}
    fg.predict(dataset.limit(1), NAME, "seen", **options, **QUIET)
    sample = dataset.first()
    for run, file in ((None, None), (NAME, weights)):
        found = fg.explain_sample(sample, run, prediction_field="seen", weights=file)
        assert np.abs(found.probabilities - sample.seen_scores).max() <= 1e-5
        assert found.box == pytest.approx((0.0, -0.5, 1.0, 1.5))  # wider than the image
    asked = []

    def run_pass(images, network, sinks, report):  # which takes seconds
        asked.append((images.resize, network.resize))
        raise fg.CancelledError

    monkeypatch.setattr(faithfulness, "run_pass", run_pass)
    for resize in (None, "squash"):
        with pytest.raises(fg.CancelledError):
            fg.explanation_quality(dataset, NAME, "cam", weights=weights, resize=resize, **QUIET)
    assert asked == [("letterbox", "letterbox"), ("squash", "squash")]


def test_a_layout_without_a_run_is_by_the_weights_that_a_run_started_from(dataset, weights):
    recipe = Recipe(backbone=NAME, weights=weights).to_dict()
    run = runs.Run("a", dataset.name, ["tench", "other"], recipe, [], 1, "ground_truth", "/none")
    runs.save_run(dataset, run)
    given = {"method": "pca", "progress": False}
    found = {}
    for resize in ("crop", "squash"):
        results = fg.show_embeddings(dataset, resize=resize, **given)
        own = fg.compute_embeddings(dataset, NAME, weights=weights, resize=resize, **QUIET)
        assert results.points == pytest.approx(layout(own, "pca"))
        found[resize] = own
    assert np.abs(found["crop"] - found["squash"]).max() > 0.01
    default = fg.compute_embeddings(dataset, NAME, weights=weights, **QUIET)
    assert default.tolist() == found["crop"].tolist()
    config = dataset.get_brain_info("embeddings").config
    assert config.model == f"{NAME}, pca (gradcam)"
    assert getattr(config, RESTS_ON)["given"] == {"method": "pca", "seed": 0, "resize": "squash"}


def test_embeddings_are_of_a_run_only_if_it_was_trained_here(dataset, weights, name):
    network = pretrained(dataset, NAME, weights, "squash")
    fg.compute_embeddings(dataset, network, "seen", **QUIET)
    info = dataset.get_field("seen").info
    assert "run" not in info
    assert "version" not in info
    assert dataset.get_field("seen").description.startswith(f"What {NAME} sees in the image")
    fg.show_embeddings(dataset, network, "pca", **QUIET)
    config = dataset.get_brain_info("embeddings").config
    assert {"run", "version", "given"} & {*getattr(config, RESTS_ON)} == set()
