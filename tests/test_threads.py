"""Threads share a process: what torch keeps for all of them at once is changed by none."""

import os
import threading
import warnings

import numpy as np
import pytest
import torch
from conftest import save_digits
from PIL import Image, ImageFile
from torch import nn

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.heatmaps import heatmap_pixels
from fiftyone_gradcam.dataset.run import pretrained
from fiftyone_gradcam.explain.cam import explain
from fiftyone_gradcam.explain.render import HeatmapOptions, peak_of, render_heatmap
from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.images.geometry import seen_box
from fiftyone_gradcam.model.backbones import get_backbone
from fiftyone_gradcam.model.folding import fold_batch_norms
from fiftyone_gradcam.model.nodes import check_layer
from fiftyone_gradcam.model.weights import create_model
from fiftyone_gradcam.passes.threads import keeping_num_threads

LAYER = "features.8"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """60 digits, 15 each of four classes, and a file of weights for their network."""
    folder = tmp_path_factory.mktemp("threads")
    root = save_digits(folder / "digits", per_class=15, classes=4, side=64)
    dataset = fg.import_folders(str(root), f"threads {folder.name}")
    torch.manual_seed(0)
    model = create_model("squeezenet1_1", 1000, "none")
    nn.init.normal_(model.classifier[1].weight, std=0.3)
    file = str(folder / "weights.pth")
    torch.save(model.state_dict(), file)
    yield dataset, file
    dataset.delete()


def test_predictions_at_a_named_layer_are_those_of_one_image_after_the_other(photos, monkeypatch):
    dataset, file = photos
    monkeypatch.setattr(os, "cpu_count", lambda: 4)  # as many threads, on any machine
    view = dataset.limit(40)
    given = {"weights": file, "storage": "database", "resize": "squash"}
    fg.predict(view, "squeezenet1_1", layer=LAYER, heatmap_field="inner", **given)
    model, backbone = (
        create_model("squeezenet1_1", 1000, file).eval(),
        get_backbone("squeezenet1_1"),
    )
    images = Images(view.values("filepath"), 224)
    for position, heatmap in enumerate(view.values("inner")):
        batch = images.load(np.array([position]))
        x = backbone.normalize(batch.images)
        found = explain(model, backbone, x, ["predicted"], layer=LAYER)
        cam, frame = found.maps[0][0].numpy(), batch.frames[0]
        options = HeatmapOptions()
        expected = render_heatmap(
            cam, int(frame[0]), int(frame[1]), seen_box("squash", *map(int, frame)), None,
            options.resolution, options.interpolation,
        )  # fmt: skip
        assert heatmap.layer == LAYER
        assert heatmap.peak == pytest.approx(peak_of(cam), rel=1e-3)  # of batches, in float32
        assert np.abs(heatmap_pixels(heatmap).astype(int) - expected).max() <= 1
    # The process is as it was: another layer, and the network's own.
    fg.predict(view, "squeezenet1_1", layer="features.5", heatmap_field="inner", **given)
    assert set(view.values("inner.layer")) == {"features.5"}
    fg.predict(view, "squeezenet1_1", heatmap_field="own", **given)
    assert len(view.exists("own")) == 40


def test_a_layer_that_is_none_is_named_before_any_thread_starts(photos):
    dataset, file = photos
    run = pretrained(dataset, "squeezenet1_1", file, "squash")
    with pytest.raises(ValueError, match=r"no layer 'features\.99'"):
        run.network("cpu", "features.99")


def test_networks_run_while_others_are_traced():
    """torch.fx replaces methods of nn.Module while it traces, for all threads."""
    call, getter = nn.Module.__call__, nn.Module.__getattr__
    torch.manual_seed(0)
    models = [create_model(name, 3, "none").eval() for name in ("resnet18", "mobilenet_v2")]
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        expected = [model(x) for model in models]
    faults, done = [], threading.Event()

    def attempt(work):
        try:
            work()
        except BaseException as error:  # each kind of fault counts
            faults.append(error)

    def tracing():
        for _ in range(3):
            model = create_model("resnet18", 3, "none").eval()
            check_layer(model, "layer3")
            fold_batch_norms(model)

    def running():
        while not done.is_set():
            for model, right in zip(models, expected, strict=True):
                with torch.no_grad():
                    assert torch.allclose(model(x), right, atol=1e-5)

    runners = [threading.Thread(target=attempt, args=(running,)) for _ in range(2)]
    tracers = [threading.Thread(target=attempt, args=(tracing,)) for _ in range(3)]
    for thread in runners + tracers:
        thread.start()
    for thread in tracers:
        thread.join()
    done.set()
    for thread in runners:
        thread.join()
    assert faults == []
    assert (nn.Module.__call__, nn.Module.__getattr__) == (call, getter)
    folded = fold_batch_norms(models[0])  # something was folded, and nothing else changed
    assert isinstance(folded.bn1, nn.Identity)
    assert torch.allclose(folded(x), expected[0], atol=1e-4)


def test_passes_that_overlap_leave_torch_its_number_of_threads():
    before = torch.get_num_threads()
    steps = [threading.Event() for _ in range(3)]
    seen = []

    def first():
        with keeping_num_threads:
            torch.set_num_threads(3)
            steps[0].set()
            steps[1].wait(60)
        steps[2].set()

    def second():
        steps[0].wait(60)
        with keeping_num_threads:
            steps[1].set()
            steps[2].wait(60)
            torch.set_num_threads(2)
        seen.append(torch.get_num_threads())

    torch.set_num_threads(5)
    try:
        threads = [threading.Thread(target=work) for work in (first, second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        later.start()
        later.join()
    finally:
        torch.set_num_threads(before)
    assert seen == [5, 5]


def test_pillow_and_warnings_are_left_alone(photos):
    dataset, file = photos
    filters = list(warnings.filters)
    switches = ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS, dict(os.environ)
    fg.predict(dataset.limit(9), "squeezenet1_1", weights=file, heatmap_field="other")
    fg.find_label_issues(dataset, backbone="squeezenet1_1", weights=file)
    assert filters == list(warnings.filters)
    now = ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS, dict(os.environ)
    assert now == switches
