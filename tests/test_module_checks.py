"""Modules that cannot be used as a classifier: each fault is named, with its remedy."""

import pytest
import torch
from torch import nn

import fiftyone_gradcam as fg
from fiftyone_gradcam.model import digests
from fiftyone_gradcam.model.device import pick_device
from fiftyone_gradcam.model.nodes import _layout, as_map, check_layer
from fiftyone_gradcam.model.sound import check_logits, check_module, check_pixels, unwrapped

SIZE = 16


class Small(nn.Module):
    """A convolution, an average and a linear layer; `after` is called on the logits."""

    def __init__(self, after=None):
        super().__init__()
        self.body = nn.Conv2d(3, 4, 3, 2, 1)
        self.head = nn.Linear(4, 3)
        self.after = after

    def forward(self, x):
        found = self.head(self.body(x).mean((2, 3)))
        return found if self.after is None else self.after(found)


def raised(call, *args) -> str:
    """The message of the error that a call raises."""
    with pytest.raises(ValueError, match=".") as caught:
        call(*args)
    return str(caught.value)


def test_wrappers_are_taken_off():
    own = Small()
    assert unwrapped(own) is own
    assert unwrapped(nn.DataParallel(own)) is own
    compiled = nn.Module()  # as torch.compile returns it
    compiled._orig_mod = nn.DataParallel(own)
    assert unwrapped(compiled) is own
    assert unwrapped(nn.Sequential(own)) is not own
    assert unwrapped("text") == "text"


def test_weights_that_cannot_be_used_are_named():
    check_module(Small())
    assert raised(check_module, nn.Sequential(nn.LazyLinear(2))) == (
        "'0.weight' of the module has no shape yet. Run it on an image first"
    )
    for values, what in (
        (torch.ones(2, dtype=torch.complex64), "torch.complex64"),
        (torch.quantize_per_tensor(torch.ones(2), 1.0, 0, torch.qint8), "torch.qint8"),
    ):
        own = Small()
        own.register_buffer("odd", values)
        expected = f"'odd' of the module is {what}, which has no gradients"
        assert raised(check_module, own) == expected
    own = Small()
    own.register_buffer("counter", torch.tensor(3))  # whole numbers are no fault
    check_module(own)
    own.register_buffer("limit", torch.tensor(float("inf")))
    assert raised(check_module, own) == (
        "'limit' of the module contains NaN or infinity. Load valid weights"
    )


def test_logits_are_checked():
    images = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    logits = check_logits(Small(), images, 3, SIZE)
    assert logits.shape == (2, 3)
    assert not logits.requires_grad
    for after, message in (
        (lambda x: x * float("nan"), "The logits of the module are NaN or infinite. Load valid"),
        (lambda x: x.softmax(1), "The module returns probabilities, which sum to 1. Pass it"),
        (lambda x: x[:1], "The module returns (1, 3) for 2 images instead of logits (2, 3)"),
        (lambda x: x[..., None], "The module returns (2, 3, 1) for 2 images instead of logits"),
        (lambda x: x[:, :2], "The module returns 2 logits, but classes= has 3 names"),
        (list, "The module returns list instead of logits (N, classes)"),
        (lambda x: x @ x, "The module cannot process images (2, 3, 16, 16) (RuntimeError: mat1"),
    ):
        assert raised(check_logits, Small(after), images, 3, SIZE).startswith(message)
    # Numbers that sum to 1 are logits if some are negative, and other sums are none either.
    check_logits(Small(lambda x: x * 0 + torch.tensor([2.0, -1.0, 0.0])), images, 3, SIZE)
    check_logits(Small(lambda x: x * 0 + 1), images, 3, SIZE)


def test_sizes_and_means_are_checked():
    check_pixels(8, (0, 0, 0), [1, 1.0, 1])
    for wrong in (7, 8.0, True, "8", None):
        assert raised(check_pixels, wrong, (0, 0, 0), (1, 1, 1)) == (
            f"image_size must be a whole number of at least 8, not {wrong!r}"
        )
    for wrong in ((0, 0), (0, 0, 0, 0), 0.5, (0, 0, "0"), (0, 0, float("nan"))):
        assert raised(check_pixels, 8, wrong, (1, 1, 1)).startswith(
            "mean must be three numbers, for"
        )
    for wrong in ((1, 1, 0), (1, -1, 1), (1, 1)):
        assert raised(check_pixels, 8, (0, 0, 0), wrong).startswith(
            "std must be three numbers above 0"
        )


def test_a_module_that_cannot_be_copied_is_refused():
    own = Small()
    own.stream = (x for x in ())  # a generator
    with pytest.raises(
        ValueError, match="^The module Small cannot be copied \\(cannot pickle 'gener"
    ):
        fg.Network(own, ["a", "b", "c"], image_size=SIZE)


@pytest.mark.parametrize(
    ("count", "tokens", "expected"),
    [
        (16, None, (0, (4, 4))),
        (17, None, (1, (4, 4))),
        (18, None, (2, None)),
        (1, None, (0, None)),
        (2, None, (1, None)),
        (4, None, (0, (2, 2))),
        (18, (2,), (2, (4, 4))),
        (18, (3,), (3, None)),
        (14, (2, 3, 4), (2, (3, 4))),
        (14, (2, 4, 4), (2, None)),
        (1, (0,), (0, None)),
        (1, (1,), (1, None)),
    ],
)
def test_tokens_form_a_grid(count, tokens, expected):
    assert _layout(count, tokens) == expected


def test_outputs_become_maps_and_return():
    values = torch.arange(2 * 5 * 3.0).reshape(2, 5, 3)
    target, restore = as_map(values, "x")
    assert target.shape == (2, 3, 2, 2)
    assert target[0, :, 0, 1].tolist() == [6, 7, 8]  # the second patch, after the class token
    assert torch.equal(restore(target), values)
    grid = torch.arange(24.0).reshape(1, 2, 2, 6)
    target, restore = as_map(grid, "x", tokens_last=True)
    assert target[0, :, 1, 0].tolist() == [12, 13, 14, 15, 16, 17]
    assert torch.equal(restore(target), grid)
    for output, tokens, message in (
        (values, (2,), "'x' is (2, 5, 3), which does not match tokens=(2,). Name an earlier layer"),
        (values[0], (1,), "'x' is (5, 3), which is not a map (N, channels, height, width). Name"),
        (
            [1],
            None,
            "'x' is list, which is not a map (N, channels, height, width). Name an earlier",
        ),
    ):
        assert message in raised(as_map, output, "x", False, tokens)
    assert raised(check_layer, Small(), 3) == (
        "layer must be the name of a layer, such as 'layer3', not 3"
    )


def test_a_gpu_is_taken_where_there_is_one(monkeypatch):
    assert pick_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert pick_device() == torch.device("cpu")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert pick_device("") == torch.device("mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device(None) == torch.device("cuda")
    for wrong in ("gpu", 1.5):
        with pytest.raises(
            ValueError, match=f"^device {wrong!r} is unknown to torch. It can be 'cpu'"
        ):
            pick_device(wrong)


def test_few_digests_are_kept(tmp_path, monkeypatch):
    class Known:
        image_size, resize, digest = 8, "crop", "d"

    monkeypatch.setattr(digests, "_known", {})
    monkeypatch.setattr(digests, "MOST_KNOWN", 2)
    files = [str(tmp_path / name) for name in "abc"]
    for path in files:
        with open(path, "w") as file:
            file.write("x")
        digests.note_digest(Known(), "resnet18", path)
    assert [digests.known_digest("resnet18", path, 8, "crop") for path in files] == [None, "d", "d"]
    assert digests.known_digest("resnet18", files[1], 9, "crop") is None
    assert digests.known_digest("resnet18", files[1], 8, "squash") is None
    with open(files[1], "w") as file:
        file.write("longer")  # another file
    assert digests.known_digest("resnet18", files[1], 8, "crop") is None
    for weights in ("none", str(tmp_path / "gone")):
        digests.note_digest(Known(), "resnet18", weights)
        assert digests.known_digest("resnet18", weights, 8, "crop") is None
    assert len(digests._known) == 2
