"""Apple's GPUs know no float64: none is made, on any device, in all that may run on one.

The CPU stands in for such a device, and every tensor of torch that holds float64 is refused there:
numbers that are added up in float64 are numpy's or Python's.
"""

import copy

import numpy as np
import pytest
import torch
from conftest import save_digits
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import fiftyone_gradcam as fg
from fiftyone_gradcam.explain.cam import explain
from fiftyone_gradcam.explain.faithfulness import faithfulness
from fiftyone_gradcam.explain.methods import METHODS
from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.model.backbones import get_backbone
from fiftyone_gradcam.model.weights import create_model
from fiftyone_gradcam.passes import engine
from fiftyone_gradcam.training.history import Hooks
from fiftyone_gradcam.training.learner import Sums
from fiftyone_gradcam.training.loop import train
from fiftyone_gradcam.training.overfit import overfit
from fiftyone_gradcam.training.recipe import Recipe
from fiftyone_gradcam.training.sources import Labelled

WIDE = {torch.float64, torch.complex128}


def refuse(func, result):
    for leaf in tree_leaves(result):
        if isinstance(leaf, torch.Tensor) and leaf.dtype in WIDE:
            raise AssertionError(f"{func} made a tensor of {leaf.dtype}")
    return result


class _Calls(TorchFunctionMode):
    """What Python calls, `torch.from_numpy` and `torch.tensor` included."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return refuse(func, func(*args, **(kwargs or {})))


class _Kernels(TorchDispatchMode):
    """What torch runs, within its own functions, backward and the optimizers."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return refuse(func, func(*args, **(kwargs or {})))


def narrow(work):
    """A function that fails where float64 is made."""

    def checked(*args, **kwargs):
        with _Calls(), _Kernels():
            return work(*args, **kwargs)

    return checked


def test_float64_is_noticed():
    for wide in (
        lambda: torch.zeros(2, dtype=torch.float64),
        lambda: torch.tensor(np.float64(2)),
        lambda: torch.from_numpy(np.ones(2)),
        lambda: torch.ones(2).double(),
        lambda: torch.ones(2).sum(dtype=torch.float64),
    ):
        with pytest.raises(AssertionError, match="made a tensor of torch.float64"):
            narrow(wide)()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = save_digits(tmp_path_factory.mktemp("narrow") / "digits", per_class=6, side=32)
    paths = sorted(root.glob("*/*.png"))
    labels = np.array([int(p.parent.name[-1]) for p in paths])
    images = Images([str(p) for p in paths], 32)
    return [Labelled(images, labels, np.arange(start, 18, 2)) for start in (0, 1)]


AUGMENTED = {
    **{"vertical_flip": True, "scale": 0.2, "crop": 0.5, "rotation": 20.0, "elastic": 2.0},
    **{"brightness": 0.2, "contrast": 0.2, "noise": 0.1, "cutout": 0.2, "mixup": 0.2},
}


@pytest.mark.parametrize(
    "choices",
    [
        {"optimizer": "sgd", "class_balance": "weights", "label_smoothing": 0.1, "ema": 0.9},
        {"optimizer": "adam", "class_balance": "sampling", "mixed_precision": True},
        {"schedule": "one_cycle", "warmup": 0.2, "hidden": (4,), "dropout": 0.2, **AUGMENTED},
        {"freeze": "backbone", "horizontal_flip": False, "translation": 0, "validate_every": 1},
    ],
)
def test_training_makes_no_float64(data, choices):
    recipe = Recipe("small_cnn", "none", epochs=2, batch_size=4, image_size=32, **choices)
    states = []
    hooks = Hooks(on_state=lambda s: states.append(copy.deepcopy(s)))
    first = narrow(train)(recipe, 3, *data, device="cpu", hooks=hooks)
    assert len(first.history) == 2
    again = narrow(train)(recipe, 3, *data, device="cpu", state=states[0])
    assert [row.epoch for row in again.history] == [1, 2]
    assert all(
        torch.equal(value, first.model.state_dict()[key])
        for key, value in again.model.state_dict().items()
    )


def test_training_of_the_head_and_of_a_few_images_makes_no_float64(data, tmp_path):
    torch.save(create_model("small_cnn", 2, "none").state_dict(), tmp_path / "weights.pth")
    given = {"weights": str(tmp_path / "weights.pth"), "batch_size": 4, "image_size": 32}
    recipe = Recipe("small_cnn", epochs=1, head_epochs=1, **given)
    assert [row.epoch for row in narrow(train)(recipe, 3, *data, device="cpu").history] == [0, 1]
    found = narrow(overfit)(recipe, 3, data[0], device="cpu", steps=3)
    assert len(found.losses) <= 3


@pytest.mark.parametrize("method", METHODS)
def test_maps_make_no_float64(method):
    torch.manual_seed(0)
    cases = [("small_cnn", None), ("small_cnn", "features.stage2"), ("squeezenet1_1", None)]
    for name, layer in cases[: 1 if method == "scorecam" else 3]:  # which takes hundreds of passes
        model, backbone = create_model(name, 3, "none").eval(), get_backbone(name)
        chosen = ["predicted", torch.tensor([0, -1])]
        x = torch.randn(2, 3, 64, 64)
        found = narrow(explain)(model, backbone, x, chosen, method=method, layer=layer)
        assert [m.dtype for m in found.maps] == [torch.float32] * 2


def test_faithfulness_makes_no_float64():
    image = torch.rand(3, 40, 40)
    found = narrow(faithfulness)(image, np.eye(5), lambda x: x.mean((1, 2, 3)))
    assert found.deletion == pytest.approx(float(image.mean()) / 2, rel=0.2)


def test_predict_and_features_make_no_float64(trained, monkeypatch):
    made = []

    def work(*args):  # in a thread: a mode is of one thread alone
        made.append(1)
        return narrow(own_work)(*args)

    own_work = engine._Work.compute
    monkeypatch.setattr(engine._Work, "compute", work)
    kinds = ("predicted", "label", "runner_up", "contrast")
    fg.predict(trained, "quick", "narrow", kinds, ["digit 1"], "narrow_cam", scale="pair")
    assert len(made) >= len(trained) // engine.CPU_BATCH
    assert len(trained.exists("narrow")) == len(trained)
    weights = fg.load_run(trained, "quick").checkpoint
    fg.find_label_issues(trained, backbone="small_cnn", weights=weights)
    assert None not in trained.values("label_quality")


def test_sums_by_hand():
    sums = Sums()
    assert (sums.read(), sums.dead, sums.is_finite) == ((0.0, 0.0, 0), 0.0, True)
    logits = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 2.0]])
    sums.add(logits, torch.tensor([0, 1, 1]), torch.tensor(0.5))
    sums.add(logits[:1], torch.tensor([1]), torch.tensor(2.5))
    # Right: the first and the third of three; then none of one. Dead: one of four.
    assert sums.read() == (pytest.approx((0.5 * 3 + 2.5) / 4), 2 / 4, 4)
    assert sums.dead == 1 / 4
    sums.add(logits[:1], torch.tensor([0]), torch.tensor(float("inf")))
    assert not sums.is_finite


def test_sums_are_exact_over_many_batches():
    sums, logits, labels = Sums(), torch.tensor([[1.0, 0.0]] * 7), torch.zeros(7, dtype=torch.int64)
    losses = torch.rand(3000, generator=torch.Generator().manual_seed(0))
    for loss in losses:
        sums.add(logits, labels, loss)
    assert len(sums._pending) < 1024
    mean, accuracy, count = sums.read()
    assert (accuracy, count) == (1.0, 21000)
    assert mean == pytest.approx(float(losses.numpy().astype(np.float64).mean()), rel=1e-12)
