"""One pass over images: the same on either way through the engine, bounded, in order, ended."""

import threading
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from agreeing import Maps, agreement
from conftest import save_digits
from PIL import Image
from torch import nn

from fiftyone_gradcam.explain.cam import Forward, explain_network
from fiftyone_gradcam.explain.measures import measure
from fiftyone_gradcam.explain.render import HeatmapOptions, render_heatmap
from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.images.geometry import seen_box
from fiftyone_gradcam.model.backbones import get_backbone
from fiftyone_gradcam.model.network import Network
from fiftyone_gradcam.model.weights import create_pretrained
from fiftyone_gradcam.passes import engine
from fiftyone_gradcam.passes.engine import run_pass
from fiftyone_gradcam.passes.heatmaps import KINDS, Heatmaps
from fiftyone_gradcam.passes.precision import PRECISIONS
from fiftyone_gradcam.passes.sinks import Logits, Pooled, Predictions, Sink, Thumbnails
from fiftyone_gradcam.progress import CancelledError
from fiftyone_gradcam.review.duplicates import thumbnails
from fiftyone_gradcam.review.scores import scores

CLASSES = ("a", "b", "c")


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    backbone = get_backbone("small_cnn")
    model = backbone.build(3).eval()
    return Network.of_backbone(backbone, model, CLASSES, 32, "crop", "cpu")


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """23 oblong pictures, of which the fourth and the last cannot be decoded."""
    root = save_digits(tmp_path_factory.mktemp("passes") / "digits", per_class=8, side=32)
    found = [str(path) for path in sorted(root.glob("*/*.png"))][:23]
    for number, path in enumerate(found):
        with Image.open(path) as image:
            image.convert("RGB").resize((40 + number, 50)).save(path)
    for broken in (3, 22):
        with open(found[broken], "wb") as file:
            file.write(b"no picture")
    return found


@pytest.fixture(params=["side by side", "fed"])
def way(request, monkeypatch):
    """Either way through the engine, on a CPU."""
    monkeypatch.setattr(engine, "runs_side_by_side", lambda _: request.param == "side by side")
    return request.param


def test_each_sink_has_its_rows(way, network, paths):
    images = Images(paths, 32, resize="crop")
    sinks = [Logits(23), Pooled(23), Thumbnails(23)]
    reported = []
    run_pass(images, network, sinks, 5, lambda done, total, message: reported.append((done, total)))
    assert sorted(images.failures) == [3, 22]
    assert reported[-1] == (23, 23)
    assert [done for done, _ in reported] == sorted({done for done, _ in reported})
    batch = Images(paths, 32, resize="crop").load(np.arange(23))
    with torch.no_grad():
        inputs = network.normalize(batch.images)
        target, head = network.split(inputs)
        right = [head(target).numpy(), target.mean((2, 3)).numpy(), thumbnails(batch.images)]
    for sink, rows in zip(sinks, right, strict=True):
        assert np.isnan(sink.rows[[3, 22]]).all()
        assert sink.rows[batch.positions] == pytest.approx(rows, abs=1e-4)


def test_positions_are_taken_in_the_order_asked_for(way, network, paths):
    order = np.array([20, 1, 3, 7, 19, 2])
    taken, images, sink = [], Images(paths, 32), Logits(23)
    sink.take = lambda positions, value: taken.extend(positions)
    run_pass(images, network, [sink], 2, positions=order)
    assert taken == [20, 1, 7, 19, 2]


@pytest.mark.parametrize("scale", ["image", "pair", "run"])
@pytest.mark.parametrize("storage", ["file", "database"])
def test_heatmaps_are_those_of_one_image_after_the_other(
    way, network, paths, tmp_path, scale, storage
):
    labels = np.arange(23) % 4 - 1
    kinds = [*KINDS, "class:c", "against:contrast"]
    options = HeatmapOptions(scale=scale, storage=storage, resolution=48)
    found, predicted = {}, {}

    def add(positions, rows):
        found.update(zip(positions.tolist(), rows, strict=True))

    def path_of(kind, position):
        return str(tmp_path / f"{kind.replace(':', '_')}_{position}.png")

    sinks = [
        Predictions(labels, lambda p, logits, s: predicted.update(zip(p, logits, strict=True))),
        Heatmaps(kinds, options, CLASSES, labels, "crop", path_of, add),
    ]
    images = Images(paths, 32, resize="crop")
    run_pass(images, network, sinks, 6)
    assert sorted(found) == sorted(predicted) == [i for i in range(23) if i not in (3, 22)]

    batch = Images(paths, 32, resize="crop").load(np.arange(23))
    own = torch.from_numpy(labels[batch.positions])
    targets = ["predicted", own, "runner_up", torch.full_like(own, 2)]
    right = explain_network(network, network.normalize(batch.images), targets)
    maps = dict(zip(("predicted", "label", "runner_up", "class:c"), right.maps, strict=True))
    classes = dict(zip(maps, right.classes, strict=True))
    maps["contrast"] = maps["predicted"] - maps["label"]
    classes["contrast"] = torch.where(
        (own >= 0) & (own != classes["predicted"]), classes["predicted"], -1
    )
    largest = max(float(one.abs().max()) for one in maps.values())
    assert (classes["contrast"] >= 0).any()
    for row, position in enumerate(batch.positions.tolist()):
        pair = max(float(one[row].abs().max()) for one in maps.values())
        for heatmap in found[position]:
            kind = heatmap.kind.removeprefix("against:")
            cam = maps[kind][row].numpy() * (-1 if kind != heatmap.kind else 1)
            assert heatmap.target == int(classes[kind][row])
            if heatmap.target < 0:
                assert heatmap.stored is None
                continue
            peak = {"image": float(np.abs(cam).max()), "pair": pair, "run": largest}[scale]
            frame = batch.frames[row].tolist()
            drawn = render_heatmap(cam, *frame, seen_box("crop", *frame), peak, 48)
            if storage == "file":
                with Image.open(heatmap.stored["map_path"]) as image:
                    pixels = np.asarray(image)
            else:
                pixels = heatmap.stored["map"]
            assert pixels.shape == drawn.shape
            assert np.abs(pixels.astype(int) - drawn).max() <= 1
            assert heatmap.stored["peak"] == pytest.approx(float(np.abs(cam).max()), rel=1e-3)
            own = measure(cam, seen_box("crop", *frame))
            if own is None:
                assert [heatmap.stored[x] for x in ("focus", "centroid", "border")] == [None] * 3
            else:
                assert heatmap.stored["focus"] == pytest.approx(own.focus, abs=1e-3)
                assert heatmap.stored["centroid"] == pytest.approx(own.centroid, abs=1e-3)
                assert heatmap.stored["border"] == pytest.approx(own.border, abs=1e-3)


def test_scores_are_handed_on_batch_by_batch(way, network, paths):
    labels, found = np.arange(23) % 4 - 1, {}

    def add(positions, logits, given):
        assert given.label_score == pytest.approx(
            scores(logits, labels[positions]).label_score, nan_ok=True
        )
        found.update(zip(positions.tolist(), given.confidence, strict=True))

    run_pass(Images(paths, 32), network, [Predictions(labels, add)], 7)
    assert len(found) == 21
    assert all(1 / 3 <= one <= 1 for one in found.values())


def assert_nothing_runs():
    """No thread of a pass, or of its decoding, which may be ending its last image."""
    for thread in threading.enumerate():
        if thread.name.startswith(("decode", "gradcam")):
            thread.join(30)
            assert not thread.is_alive(), thread


class Broken(Sink):
    def __init__(self, step):
        self.taken = 0

        def fail(*_):
            self.taken += 1
            if self.taken > 2:
                raise ZeroDivisionError

        setattr(self, step, fail)


@pytest.mark.parametrize("step", ["compute", "write", "take"])
def test_a_fault_in_a_sink_ends_the_pass(way, network, paths, step):
    with pytest.raises(ZeroDivisionError):
        run_pass(Images(paths, 32), network, [Broken(step)], 2)
    assert_nothing_runs()


def test_a_pass_that_is_cancelled_ends_and_keeps_what_was_taken(way, network, paths):
    sink = Logits(23)

    def report(done, total, message):
        if done >= 6:
            raise CancelledError

    with pytest.raises(CancelledError):
        run_pass(Images(paths, 32), network, [sink], 2, report)
    assert_nothing_runs()
    assert np.isfinite(sink.rows).all(1).sum() == 5  # six, of which one cannot be decoded


def test_few_batches_are_on_their_way(way, network, paths, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr(engine, "AHEAD", 1)
    monkeypatch.setattr(engine, "READY", 1)
    computed, most, lock = 0, 0, threading.Lock()

    class Counting(Sink):
        def compute(self, seen):
            nonlocal computed
            with lock:
                computed += 1

        def take(self, positions, value):
            nonlocal most, computed
            most = max(most, computed)
            with lock:
                computed -= 1

    run_pass(Images(paths * 4, 32), network, [Counting()], 1)
    assert most <= 4


@pytest.mark.parametrize("sink", [Logits(8), Pooled(8)], ids=["whole", "split"])
def test_networks_see_batches_side_by_side(sink, network, paths, monkeypatch):
    """Two threads meet inside of the network: one that is alone there waits in vain."""
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    meeting = threading.Barrier(2, timeout=20)
    first = next(m for m in network.module.modules() if isinstance(m, nn.Conv2d))
    hook = first.register_forward_pre_hook(lambda *_: None if meeting.wait() >= 0 else ())
    try:
        run_pass(Images([paths[0]] * 8, 32), network, [sink])
    finally:
        hook.remove()
    assert np.isfinite(sink.rows).all()


def test_none_that_can_be_decoded_is_an_error_and_nothing_at_all_is_none(way, network, paths):
    with pytest.raises(ValueError, match="None of 2 files can be read"):
        run_pass(Images([paths[3], paths[22]], 32), network, [Logits(2)])
    sink = Logits(0)
    run_pass(Images([], 32), network, [sink])
    assert sink.rows.shape == (0, 0)


def test_a_pass_fills_the_cache_that_others_read(way, network, paths):
    images = Images(paths, 32, cache_bytes=1 << 20)
    run_pass(images, network, [], 4)
    assert images._used == 21
    images.paths = ["gone"] * 23
    first, second = Logits(23), Logits(23)
    run_pass(images, network, [first], 4)
    run_pass(Images(paths, 32), network, [second], 4)
    np.testing.assert_array_equal(first.rows, second.rows)


def test_an_unknown_precision_is_named(network, paths):
    with pytest.raises(ValueError, match="tf32, float32, bfloat16, not 'half'"):
        run_pass(Images(paths, 32), network, [], precision="half")


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_cpu_computes_in_float32_whatever_is_asked_for(way, network, paths, precision):
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    first, second = Logits(23), Logits(23)
    run_pass(Images(paths, 32), network, [first], precision=precision)
    run_pass(Images(paths, 32), network, [second])
    np.testing.assert_array_equal(first.rows, second.rows)
    assert before == (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32)


@pytest.fixture(scope="module")
def photos(real):
    """Photos, and a pretrained network's run on a device."""
    paths = [str(path) for path in sorted((real / "data/hymenoptera/val").glob("*/*.jpg"))]
    model = create_pretrained("squeezenet1_1", str(real / "weights/squeezenet1_1.pth"))
    backbone = get_backbone("squeezenet1_1")
    names = [str(number) for number in range(1000)]

    def looks(device, precision, count, decoder="pillow"):
        network = Network.of_backbone(backbone, model, names, 224, "squash", device)
        sink = Maps()
        images = Images(paths[:count], 224)
        run_pass(images, network, [sink], precision=precision, decoder=decoder)
        return sink

    return looks


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_gpu_agrees_with_itself_in_float32(photos, precision):
    equal, _, correlation = agreement(
        photos("cuda", "float32", 153), photos("cuda", precision, 153)
    )
    assert equal >= 0.995
    assert correlation >= 0.999


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_a_gpu_agrees_whatever_decodes(photos):
    exact, found = (photos("cuda", "float32", 153, one) for one in ("pillow", "torchcodec"))
    equal, _, correlation = agreement(exact, found)
    assert equal >= 0.98
    assert correlation >= 0.995


def test_decoders_agree(photos, monkeypatch):
    """torchcodec decodes and resizes as on a GPU, but on a CPU."""
    exact = photos("cpu", "float32", 24)
    monkeypatch.setattr(engine, "runs_side_by_side", lambda _: False)
    monkeypatch.setattr(engine, "decodes_on", lambda _: True)
    equal, _, correlation = agreement(exact, photos("cpu", "float32", 24, "torchcodec"))
    assert equal >= 0.98
    assert correlation >= 0.995


def test_bfloat16_agrees_with_float32(photos, monkeypatch):
    """As a GPU would compute it, on a CPU, which otherwise never does."""
    exact = photos("cpu", "float32", 24)
    monkeypatch.setattr(engine, "computing", lambda precision, device: nullcontext(True))
    equal, _, correlation = agreement(exact, photos("cpu", "bfloat16", 24))
    assert equal >= 0.995
    assert correlation >= 0.999


def test_all_families_can_be_split_in_bfloat16():
    torch.manual_seed(0)
    for name in ("resnet18", "mobilenet_v3_small", "squeezenet1_1", "vit_b_32", "swin_t"):
        backbone = get_backbone(name)
        network = Network.of_backbone(backbone, backbone.build(5), "abcde", 224, "squash", "cpu")
        inputs = network.normalize(torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8))
        exact = Forward(network.module, network.splitter, inputs)
        reduced = Forward(network.module, network.splitter, inputs, reduced=True)
        assert reduced.logits.dtype == reduced.features.dtype == torch.float32
        assert not torch.equal(exact.features, reduced.features)
        pair = torch.stack([exact.features.flatten(), reduced.features.flatten()]).numpy()
        assert np.corrcoef(pair)[0, 1] > 0.99
        off = (exact.logits - reduced.logits).abs().max()
        assert off <= 0.1 * exact.logits.abs().max()
        (maps,), _ = reduced.maps(["predicted"])
        assert maps.dtype == torch.float32


def test_the_network_is_left_in_its_mode(way, network, paths):
    network.module.train()
    try:
        sink = Logits(23)
        run_pass(Images(paths, 32, resize="crop"), network, [sink])
        assert network.module.training
    finally:
        network.module.eval()
    other = Logits(23)
    run_pass(Images(paths, 32, resize="crop"), network, [other])
    np.testing.assert_array_equal(sink.rows, other.rows)
