"""Networks that are faster to evaluate, and compute the same."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from fiftyone_gradcam.model.backbones import get_backbone
from fiftyone_gradcam.model.convolution import (
    FusedConv,
    is_fusible_convolution,
    is_fusing_available,
)
from fiftyone_gradcam.model.folding import fold_and_fuse, fold_batch_norms
from fiftyone_gradcam.model.network import Network

ACTIVATIONS = {
    nn.ReLU: lambda x: x.clamp(min=0),
    nn.ReLU6: lambda x: x.clamp(0, 6),
    nn.SiLU: lambda x: x / (1 + (-x).exp()),
    nn.Hardswish: lambda x: x * (x + 3).clamp(0, 6) / 6,
    type(None): lambda x: x,
}


class FailingActivation(nn.ReLU):
    """A ReLU that says whether it was called."""

    def forward(self, values):
        raise AssertionError("called by itself")


def conv(*arguments, **options) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(*arguments, **options).requires_grad_(False)


def values(*shape: int) -> torch.Tensor:
    return 5 * torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", ACTIVATIONS)
@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 1},
        {"kernel_size": 3, "stride": 2, "padding": 1, "groups": 4, "bias": False},
        {"kernel_size": (3, 1), "dilation": (2, 1), "padding": (2, 0), "groups": 2},
    ],
)
def test_a_fused_convolution_is_the_convolution_and_its_activation(kind, options):
    assert is_fusing_available()
    one = conv(4, 8, **options)
    wanted = ACTIVATIONS[kind](functional.conv2d(
        values(3, 4, 9, 7).double(), one.weight.double(),
        None if one.bias is None else one.bias.double(),
        one.stride, one.padding, one.dilation, one.groups,
    ))  # fmt: skip
    activation = None if kind is type(None) else kind()
    fused = FusedConv(one, activation)
    for layout in (torch.contiguous_format, torch.channels_last):
        found = fused(values(3, 4, 9, 7).contiguous(memory_format=layout))
        torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-5)
    assert fused.state_dict().keys() == one.state_dict().keys()
    assert fused.weight.data_ptr() == one.weight.data_ptr()


def test_one_pass_over_the_values_does_both():
    fused = FusedConv(conv(4, 8, 3), nn.ReLU())
    fused.activation = FailingActivation()
    assert float(fused(values(2, 4, 5, 5)).min()) == 0


@pytest.mark.parametrize("reason", ["gradient", "weights", "float64", "autocast", "off", "one"])
def test_the_convolution_runs_as_usual_where_it_cannot_be_fused(reason):
    plain, x = conv(4, 8, 3, padding=1), values(2, 4, 5, 5)
    fused = FusedConv(plain, nn.ReLU())
    if reason == "gradient":
        x.requires_grad_()
        (found,) = torch.autograd.grad(fused(x).sum(), x)
        (wanted,) = torch.autograd.grad(plain(x).relu().sum(), x)
        assert torch.equal(found, wanted)
        with torch.no_grad():
            fused.activation = FailingActivation()
            assert torch.equal(fused(x), plain(x).relu())
    elif reason == "weights":
        fused.weight.requires_grad_()
        (found,) = torch.autograd.grad(fused(x).sum(), fused.weight)
        (wanted,) = torch.autograd.grad(plain(x).relu().sum(), plain.weight)
        assert torch.equal(found, wanted)
    elif reason == "float64":
        assert torch.equal(fused.double()(x.double()), plain.double()(x.double()).relu())
    elif reason == "autocast":
        with torch.autocast("cpu", torch.bfloat16):
            found, wanted = fused(x), plain(x).relu()
        assert found.dtype == wanted.dtype == torch.bfloat16
        assert torch.equal(found, wanted)
    elif reason == "off":
        with torch.backends.mkldnn.flags(enabled=False):
            assert torch.equal(fused(x), plain(x).relu())
            fused.activation = FailingActivation()
            with pytest.raises(AssertionError, match="called by itself"):
                fused(x)
    else:
        assert torch.equal(fused(x[0]), plain(x[0]).relu())  # one image without a batch
        assert fused(x[:0]).shape == (0, 8, 5, 5)


class Branches(nn.Module):
    """All that lies after a convolution, and what may not be fused."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(conv(3, 4, 3), nn.BatchNorm2d(4), nn.Identity(), nn.ReLU6())
        self.turned = nn.Sequential(conv(4, 4, 1), nn.ReLU(), nn.BatchNorm2d(4), nn.ReLU())
        self.shared = nn.ReLU()
        self.one, self.two = conv(4, 4, 1), conv(4, 4, 1)
        self.both, self.after = conv(4, 4, 1), nn.ReLU()
        self.same = conv(4, 4, 3, padding="same")
        self.edges = conv(4, 4, 3, padding=1, padding_mode="reflect")
        self.unknown = nn.Sequential(conv(4, 4, 1), nn.Tanh())
        self.last = nn.Linear(4, 2)

    def forward(self, x):
        x = self.turned(self.first(x))
        x = self.shared(self.two(self.shared(self.one(x))))
        both = self.both(x)
        x = both + self.after(both)
        x = self.unknown(self.edges(self.same(x)).relu())
        return self.last(x.mean((2, 3)))


def test_only_what_alone_follows_a_convolution_joins_it():
    module = Branches().eval()
    torch.manual_seed(2)
    for norm in (module.first[1], module.turned[2]):
        for part in (norm.weight, norm.bias, norm.running_mean):
            nn.init.normal_(part.data, 1, 0.5)
        nn.init.uniform_(norm.running_var, 0.5, 2)
    before = {name: x.clone() for name, x in module.state_dict().items()}
    fast, folded = fold_and_fuse(module), fold_batch_norms(module)
    x = values(2, 3, 12, 12)
    with torch.no_grad():
        wanted = module(x)
        torch.testing.assert_close(fast(x), wanted, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(folded(x), wanted, rtol=1e-5, atol=1e-5)
    assert all(torch.equal(before[name], x) for name, x in module.state_dict().items())
    fused = {name: m.activation for name, m in fast.named_modules() if type(m) is FusedConv}
    assert {name: type(x) for name, x in fused.items()} == {
        "first.0": nn.ReLU6, "turned.0": nn.ReLU, "one": type(None), "two": type(None),
        "both": type(None), "unknown.0": type(None),
    }  # fmt: skip
    identities = {name for name, x in fast.named_modules() if type(x) is nn.Identity}
    assert identities == {"first.1", "first.2", "first.3", "turned.1"}
    assert not any(isinstance(x, FusedConv) for x in folded.modules())
    assert type(folded.first[1]) is nn.Identity
    assert type(folded.first[3]) is nn.ReLU6


def test_a_convolution_with_a_hook_stays_one():
    plain = conv(4, 8, 3)
    assert is_fusible_convolution(plain)
    plain.register_forward_hook(lambda *_: None)
    assert not is_fusible_convolution(plain)


def test_a_pytorch_that_cannot_fuse_is_left_as_it_is(monkeypatch):
    asked = []

    def fails(*arguments):
        asked.append(arguments)
        raise TypeError("takes other arguments")

    check = is_fusing_available.__wrapped__
    assert check()
    monkeypatch.setattr(torch.ops.mkldnn, "_convolution_pointwise", fails)
    assert not check()
    # One that computes something else is no better.
    monkeypatch.setattr(
        torch.ops.mkldnn, "_convolution_pointwise", lambda x, *_: torch.zeros(2, 8, 5, 5)
    )
    assert not check()
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not check()
    assert len(asked) == 1
    monkeypatch.setattr("fiftyone_gradcam.model.folding.is_fusing_available", lambda: False)
    module = fold_and_fuse(get_backbone("mobilenet_v2").build(3))
    assert not any(isinstance(x, FusedConv) for x in module.modules())


def test_networks_on_a_cpu_are_fused_and_keep_their_features(monkeypatch):
    backbone = get_backbone("mobilenet_v2")
    module = backbone.build(3)
    network = Network.of_backbone(backbone, module, "abc", 64, "squash", "cpu")
    kinds = [type(x.activation) for x in network.module.modules() if type(x) is FusedConv]
    # 17 blocks with one or two activations each, and the first and the last convolution.
    assert (kinds.count(nn.ReLU6), kinds.count(type(None))) == (35, 17)
    named = Network.of_backbone(backbone, module, "abc", 64, "squash", "cpu", layer="features.3")
    assert not any(isinstance(x, FusedConv) for x in named.module.modules())
    own = Network(module, list("abc"), image_size=64)
    assert sum(type(x) is FusedConv for x in own.module.modules()) == 52
    # At an output that would change, nothing is fused.
    layer = "features.17.conv.1.0"
    before = Network(module, list("abc"), layer, image_size=64)
    assert not any(isinstance(x, FusedConv) for x in before.module.modules())
    # Features that were computed without, such as on a GPU, are found.
    monkeypatch.setattr("fiftyone_gradcam.model.folding.is_fusing_available", lambda: False)
    other = Network.of_backbone(backbone, module, "abc", 64, "squash", "cpu")
    assert (other.digest, other.splitter.layer) == (network.digest, network.splitter.layer)
