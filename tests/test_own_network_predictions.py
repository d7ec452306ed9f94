"""A network of the user's own where the name of a pretrained backbone is taken."""

from __future__ import annotations

import fiftyone as fo
import numpy as np
import pytest
import torch
from made_runs import some_digits
from own_modules import CLASSES, SIZE, Loop, seeded, sequential
from PIL import Image

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.own_network import own_run
from fiftyone_gradcam.explain.cam import explain_network
from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.review.scores import softmax


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    yield from some_digits(tmp_path_factory.mktemp("own"), "own-network", per_class=5)


@pytest.fixture(scope="module")
def network() -> fg.Network:
    return fg.Network(seeded(sequential), CLASSES, image_size=SIZE, resize="squash", name="mine")


def test_the_module_of_a_network_is_the_own_one(dataset, network):
    run = own_run(dataset, network)
    assert run.load_model() is network.module
    assert (run.version, run.layer, str(run)) == (network.digest, network.layer, str(network))
    assert (run.key, run.dataset_name) == ("mine/network", dataset.name)


def seen(dataset) -> torch.Tensor:
    paths = dataset.values("filepath")
    (batch,) = Images(paths, SIZE, resize="squash").batches(len(paths))
    return batch.images


def test_predict_stores_what_the_module_says(dataset, network):
    fg.predict(
        dataset,
        network,
        heatmaps=["predicted", "label"],
        storage="database",
        interpolation="nearest",
        resolution=8,
        device="cpu",
        progress=False,
    )
    inputs = network.normalize(seen(dataset))
    with torch.no_grad():
        logits = seeded(sequential)(inputs).numpy()
    assert np.allclose(dataset.values("prediction.logits"), logits, atol=1e-4)
    assert dataset.values("prediction.label") == [CLASSES[i] for i in logits.argmax(1)]
    assert np.allclose(dataset.values("prediction_scores"), softmax(logits), atol=1e-5)
    own = torch.tensor([CLASSES.index(x) for x in dataset.values("ground_truth.label")])
    found = explain_network(network, inputs, ["predicted", own])
    for field, maps in zip(("gradcam", "gradcam_label"), found.maps, strict=True):
        assert np.allclose(dataset.values(f"{field}.peak"), maps.amax((1, 2)), rtol=1e-3)
        assert dataset.distinct(f"{field}.layer") == ["4"]
        for stored, cam in zip(dataset.values(f"{field}.map"), maps.numpy(), strict=True):
            wanted = np.rint(1 + 254 * cam / cam.max()) if cam.max() > 0 else 0 * cam
            assert np.abs(stored.astype(int) - wanted).max() <= 1
    info = dataset.get_field("gradcam").info
    assert (info["run"], info["version"]) == ("mine/network", network.digest)


def test_all_methods_and_a_named_layer_by_a_hook(dataset):
    network = fg.Network(seeded(Loop), CLASSES, image_size=SIZE, resize="squash", name="loop")
    view = dataset.limit(2)
    inputs = network.normalize(seen(view))
    for method in ("hirescam", "gradcam++", "eigencam", "scorecam"):
        fg.predict(
            *(view, network, "loop_says"),
            heatmap_field="loop_map",
            method=method,
            overwrite=True,
            device="cpu",
            progress=False,
        )
        wanted = explain_network(network, inputs, method=method).maps[0].amax((1, 2))
        assert np.allclose(view.values("loop_map.peak"), wanted, rtol=1e-3), method
    fg.predict(
        *(view, network, "loop_says"),
        heatmap_field="loop_map",
        layer="stem",
        overwrite=True,
        device="cpu",
        progress=False,
    )
    named = explain_network(network.on("cpu", "stem"), inputs).maps[0].amax((1, 2))
    assert np.allclose(view.values("loop_map.peak"), named, rtol=1e-3)
    assert view.distinct("loop_map.layer") == ["stem"]


def test_quality_of_its_heatmaps(dataset, network):
    fg.predict(dataset, network, "q", heatmap_field="q_map", device="cpu", progress=False)
    means = fg.explanation_quality(
        dataset.limit(3), network, "q_map", steps=2, device="cpu", progress=False
    )
    assert set(means) == {"deletion", "insertion", "drop"}
    assert all(0 <= x <= 1 for row in means.values() for x in row.values())


def test_embeddings_are_the_means_of_the_target_tensor(dataset, network):
    found = fg.compute_embeddings(dataset, network, device="cpu", progress=False)
    with torch.no_grad():
        target, _ = network.split(network.normalize(seen(dataset)))
    assert np.allclose(found, target.mean((2, 3)), atol=2e-3)


def test_leaks_are_reported_by_it(dataset, network, tmp_path):
    """A mirrored copy, which thumbnails alone do not tell."""
    path = dataset.first().filepath
    with Image.open(path) as image:
        image.convert("RGB").rotate(2, fillcolor=(0, 0, 0)).save(tmp_path / "twin.png")
    dataset.untag_samples(["train", "val"])
    dataset.tag_samples("train")
    twin = fo.Sample(str(tmp_path / "twin.png"), tags=["val"])
    dataset.add_sample(twin)
    try:
        found = fg.find_leaks(dataset, backbone=network, device="cpu", progress=False)
        assert set(found.values("filepath")) == {path, twin.filepath}
        with pytest.raises(ValueError, match="A Network has its own weights. Leave weights= out"):
            fg.find_leaks(dataset, backbone=network, weights="imagenet")
    finally:
        dataset.delete_samples([twin])


def test_labels_are_judged_by_its_features(dataset, network):
    found = fg.compute_embeddings(dataset, network, device="cpu", progress=False)
    options = {"progress": False, "overwrite": True}
    fg.find_label_issues(dataset, embeddings=found, **options)
    wanted = dataset.values("label_quality")
    fg.find_label_issues(dataset, backbone=network, device="cpu", **options)
    assert dataset.values("label_quality") == pytest.approx(wanted)
    assert len(set(wanted)) == len(dataset)


def test_what_it_cannot_do_is_said(dataset, network):
    with pytest.raises(ValueError, match="a Network cannot be serialized. Pass plain values, or"):
        fg.predict(dataset, network, delegate=True)
    with pytest.raises(ValueError, match="A Network has its own weights and resize"):
        fg.predict(dataset, network, resize="crop")
    with pytest.raises(ValueError, match="There is no layer '44' in the network"):
        fg.predict(dataset, network, layer="44")


def test_a_network_is_a_run_of_its_own_options(dataset):
    own = fg.Network(seeded(sequential), CLASSES, image_size=SIZE, resize="letterbox", name="mine")
    run = own_run(dataset, own)
    assert run.recipe == {
        "backbone": "mine", "weights": "own", "image_size": SIZE, "resize": "letterbox",
    }  # fmt: skip
    assert (run.key, run.dataset_name, run.classes) == ("mine/network", dataset.name, CLASSES)
    assert (run.version, run.layer, str(run)) == (own.digest, own.layer, str(own))
