"""Networks of the user's own: found layers, maps as the grad-cam package has them, and refusals."""

from __future__ import annotations

import copy
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from own_modules import CLASSES, SIZE, Functions, Loop, RowsLast, Tokens, seeded, sequential
from torch import nn

import fiftyone_gradcam as fg
from fiftyone_gradcam.explain.cam import PREDICTED, explain_network
from fiftyone_gradcam.explain.methods import METHODS
from fiftyone_gradcam.model.finding import is_tokens_last
from fiftyone_gradcam.model.hooked import HookSplitter
from fiftyone_gradcam.model.sound import check_classes, check_tokens

CASES = {  # kind, further arguments, the layer that is found, its map of one image, whether traced
    "sequential": (sequential, {}, "4", (8, 8), True),
    "functions": (Functions, {}, "relu_1", (8, 8), True),
    "loop": (Loop, {}, "block", (16, 16), False),
    "rows last": (RowsLast, {}, "norm", (4, 4), True),
    "tokens": (Tokens, {"tokens": 2}, "blocks.1.norm1", (4, 4), True),
}


def own(kind, **options) -> fg.Network:
    return fg.Network(seeded(kind), CLASSES, image_size=SIZE, **options)


def images(count: int = 3) -> torch.Tensor:
    random = torch.Generator().manual_seed(5)
    return torch.randint(0, 256, (count, 3, SIZE, SIZE), generator=random, dtype=torch.uint8)


def package_map(module, layer, inputs, classes, method, reshape=None):
    """The map of the grad-cam package, on the grid of the layer and not scaled."""
    import pytorch_grad_cam as package
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    kinds = {"gradcam": package.GradCAM, "hirescam": package.HiResCAM, "layercam": package.LayerCAM}
    layers = [layer]
    targets = [ClassifierOutputTarget(int(t)) for t in classes]
    with kinds[method](module, layers, reshape_transform=reshape) as cam:
        cam(inputs, targets)
        kept = cam.activations_and_grads
        activations, gradients = kept.activations[-1].detach().numpy(), kept.gradients[-1].numpy()
        return cam.get_cam_image(inputs, layers[0], targets, activations, gradients, False)


class AsModule(nn.Module):
    """A module whose functions are modules, for the package wants one to put its hooks on."""

    def __init__(self, network: Functions):
        super().__init__()
        self.network, self.relu = network, nn.ReLU()

    def forward(self, x):
        own = self.network
        x = self.relu(own.second(own.first(x).relu()))
        return own.last(nn.functional.max_pool2d(x, 2).flatten(1))


@pytest.mark.parametrize("method", ["gradcam", "hirescam", "layercam"])
@pytest.mark.parametrize("case", CASES)
def test_maps_equal_those_of_the_grad_cam_package(case, method):
    kind, options, layer, grid, traced = CASES[case]
    network = own(kind, **options)
    assert (network.layer, network.untraced == "") == (layer, traced)
    assert network._how().startswith("traced by torch.fx" if traced else "split by a hook")
    assert isinstance(network.splitter, HookSplitter) != traced
    inputs = network.normalize(images())
    classes = torch.tensor([2, 0, 1])
    found = explain_network(network, inputs, [classes], method, signed=True)
    module, reshape = seeded(kind), None
    if case == "functions":
        module, layer = AsModule(module), "relu"
    if case == "rows last":
        reshape = lambda x: x.permute(0, 3, 1, 2)  # noqa: E731
    if case == "tokens":
        reshape = lambda x: x[:, 2:].transpose(1, 2).unflatten(2, (4, 4))  # noqa: E731
    assert torch.allclose(found.logits, module(inputs), atol=1e-5)
    place = module.get_submodule(layer)
    theirs = package_map(module, place, inputs, classes, method, reshape)
    assert found.maps[0].shape == (3, *grid) == theirs.shape
    scale = np.abs(theirs).max()
    assert np.abs(found.maps[0].numpy() - theirs).max() <= 1e-4 * scale


@pytest.mark.parametrize("case", CASES)
def test_a_hook_and_a_trace_give_the_same(case):
    """All methods, by either way, and the head by itself."""
    kind, options, *_ = CASES[case]
    network = own(kind, **options)
    inputs = network.normalize(images())
    splitter = network.splitter
    if case == "functions":
        network, splitter = network.on("cpu", "second"), None
        splitter = network.splitter
    module = copy.deepcopy(network.module)
    tokens_last = getattr(splitter, "tokens_last", False)
    hook = HookSplitter(splitter.layer, tokens_last, splitter.tokens)
    hook.check(module)
    by_hook = copy.copy(network)
    by_hook.module, by_hook.splitter = module, hook
    for method in METHODS:
        one, other = (explain_network(n, inputs, [PREDICTED], method) for n in (network, by_hook))
        assert torch.allclose(one.logits, other.logits, atol=1e-5)
        scale = float(one.maps[0].max())
        assert torch.allclose(one.maps[0], other.maps[0], atol=1e-4 * scale), method
    for n in (network, by_hook):
        target, head = n.split(inputs)
        assert torch.allclose(head(target), n.logits(inputs), atol=1e-5)
        raised = target.clone()
        raised[:, 0] += 1
        assert (head(raised) - n.logits(inputs)).abs().max() > 1e-3
    assert not any(p.grad is not None for p in module.parameters())


def test_threads_share_a_hooked_module():
    network = own(Loop)
    inputs = network.normalize(images(24))
    whole = explain_network(network, inputs).maps[0]
    with ThreadPoolExecutor(4) as pool:
        parts = list(
            pool.map(lambda i: explain_network(network, inputs[i : i + 2]).maps[0], range(0, 24, 2))
        )
    assert torch.allclose(torch.cat(parts), whole, atol=1e-6)
    with torch.no_grad():
        assert not network.logits(inputs).requires_grad  # the hook does nothing outside of a pass


def test_the_users_module_stays_as_it_was():
    module = sequential().train()
    before = copy.deepcopy(module.state_dict())
    network = fg.Network(module, CLASSES, image_size=SIZE)
    assert module.training
    assert not any(one._forward_hooks for one in module.modules())
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    digest = network.digest
    with torch.no_grad():
        module[0].weight += 1
    assert network.on("cpu").digest == digest
    assert fg.Network(module, CLASSES, image_size=SIZE).digest != digest
    assert isinstance(network.module[1], nn.Identity)  # its batch norm is folded


def found_at_a_convolution() -> torch.Tensor:
    """What a ReLU that follows works on in place."""
    module = seeded(sequential)
    module[4].inplace = True
    network = fg.Network(module, CLASSES, image_size=SIZE, layer="3")
    assert not network.untraced
    return network.split(network.normalize(images()))[0]


def test_a_layer_can_be_named():
    network = own(sequential, layer="2")
    assert network.split(network.normalize(images()))[0].shape == (3, 8, 16, 16)
    network = own(sequential).on("cpu", "0")  # folding the norm would make this another tensor
    plain = seeded(sequential)
    inputs = network.normalize(images())
    assert torch.allclose(network.split(inputs)[0], plain[0](inputs), atol=1e-6)
    torch.testing.assert_close(found_at_a_convolution(), plain[3](plain[:3](inputs)))
    with pytest.raises(ValueError, match="There is no layer 'secnd' in the network. Similar: sec"):
        own(Functions, layer="secnd")
    with pytest.raises(ValueError, match="no module 'blok' in the network. Did you mean 'block'"):
        own(Loop, layer="blok")
    with pytest.raises(ValueError, match=r"layer '6' is \(2, 48\), which is not a map"):
        own(sequential, layer="6")


def test_a_transformer_is_not_taken_for_a_map():
    with pytest.raises(ValueError, match=r"processes 18 tokens after its last map.*Pass tokens=2 "):
        own(Tokens)
    named = own(Tokens, layer="patches")
    assert named.split(named.normalize(images()))[0].shape == (3, 12, 4, 4)
    assert own(Tokens, tokens=(2, 4, 4)).layer == "blocks.1.norm1"
    with pytest.raises(ValueError, match=r"output \(N, tokens, channels\) that matches "):
        own(Tokens, tokens=5)


class Returns(nn.Module):
    def __init__(self, make):
        super().__init__()
        self.make, self.body = make, sequential()

    def forward(self, x):
        return self.make(self.body(x))


def meta() -> nn.Module:
    return sequential().to("meta")


def half() -> nn.Module:
    return sequential().half()


def broken() -> nn.Module:
    module = sequential()
    with torch.no_grad():
        module[3].weight[0, 0, 0, 0] = float("nan")
    return module


def flat() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * SIZE * SIZE, 3))


REFUSED = {
    "no module": (lambda: "resnet18", {}, "must be a torch.nn.Module, not str"),
    "another number of classes": (
        *(sequential, {"classes": ["a", "b"]}),
        "returns 3 logits, but classes= has 2 names. Pass one name for each logit",
    ),
    "twice": (sequential, {"classes": ["a", "b", "a"]}, "Two classes have the name 'a'"),
    "one": (sequential, {"classes": ["a"]}, "at least two classes, not ['a']"),
    "text": (sequential, {"classes": "abc"}, "classes must be a list of names, not 'abc'"),
    "meta": (meta, {}, "'0.weight' of the module has no values, only a shape (device 'meta')"),
    "half": (half, {}, "'0.weight' of the module is torch.float16, but images are float32"),
    "NaN": (broken, {}, "'3.weight' of the module contains NaN or infinity"),
    "a tuple": (
        lambda: Returns(lambda x: (x, x)),
        {},
        "The module returns tuple instead of logits",
    ),
    "probabilities": (lambda: Returns(lambda x: x.softmax(1)), {}, "Pass it without its softmax"),
    "another shape": (lambda: Returns(lambda x: x[0]), {}, "returns (3,) for 2 images"),
    "no map": (flat, {}, "No module of this network has a four-dimensional output"),
    "another size": (flat, {"image_size": 64}, "cannot process images (2, 3, 64, 64)"),
    "image_size": (sequential, {"image_size": 4}, "a whole number of at least 8, not 4"),
    "std": (sequential, {"std": (1, 0, 1)}, "std must be three numbers above 0"),
    "mean": (sequential, {"mean": 0.5}, "mean must be three numbers, for red, green and blue"),
    "resize": (sequential, {"resize": "fit"}, "resize must be one of squash, crop, letterbox"),
    "tokens": (sequential, {"tokens": (1, 2)}, "tokens must be the number of tokens before"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_refused(case):
    make, options, message = REFUSED[case]
    options = {"classes": CLASSES, "image_size": SIZE, **options}
    with pytest.raises(ValueError, match=re.escape(message)):
        fg.Network(make(), **options)


@pytest.mark.parametrize("classes", [["a"], [], "ab", ["a", ""], ["a", 3], ["a", None], ["a", "a"]])
def test_names_of_classes_are_checked(classes):
    assert check_classes(["b", "a"]) == ("b", "a")
    with pytest.raises((ValueError, TypeError)):
        check_classes(classes)


@pytest.mark.parametrize(
    "tokens", [-1, (-1, 4, 4), (1, 0, 4), (1, 4, 0), (1, 4), (1, 2, 3, 4), True, 1.0, (1.0,), "1"]
)
def test_numbers_of_tokens_are_checked(tokens):
    for right, found in ((None, None), (0, (0,)), ([1, 2, 3], (1, 2, 3)), ((0, 1, 1), (0, 1, 1))):
        assert check_tokens(right) == found
    with pytest.raises(ValueError, match="tokens must be the number of tokens before the patches"):
        check_tokens(tokens)


@pytest.mark.parametrize(
    ("shape", "is_last"),
    [
        *(((2, 7, 7, 512), True), ((2, 512, 7, 7), False), ((2, 7, 7, 7), False)),
        *(((2, 1, 1, 512), False), ((2, 8, 7, 512), False), ((2, 2, 2, 3), True)),
    ],
)
def test_channels_that_come_last_are_known_by_the_shape(shape, is_last):
    assert is_tokens_last(torch.Size(shape)) == is_last
