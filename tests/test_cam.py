"""Grad-CAM against oracles: the whole network in float64, hand-worked sums, the peer package."""

import numpy as np
import pytest
import torch
import torchvision
from torch import nn
from torch.nn.functional import relu

from fiftyone_gradcam.explain.cam import explain
from fiftyone_gradcam.model.backbones import BACKBONES, get_backbone
from fiftyone_gradcam.model.weights import create_model

ONE_OF_EACH = {
    "resnet18": 64, "regnet_x_400mf": 64, "googlenet": 64, "inception_v3": 96,
    "shufflenet_v2_x0_5": 64, "mobilenet_v2": 64, "mobilenet_v3_small": 64, "efficientnet_b0": 64,
    "mnasnet0_5": 64, "densenet121": 64, "convnext_tiny": 64, "squeezenet1_1": 64, "vgg16": 64,
    "alexnet": 96, "swin_t": 64, "swin_v2_t": 64, "maxvit_t": 224, "vit_b_32": 224,
    "small_cnn": 32,
}  # fmt: skip


def network(name: str, classes: int = 5) -> nn.Module:
    """A network with random weights, batch statistics that are not all alike, and no zero head."""
    torch.manual_seed(0)
    model = create_model(name, classes, "none").eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    last = model.get_submodule(get_backbone(name).family.last_layer)
    nn.init.normal_(last.weight, std=0.3)  # a squeezenet's last ReLU needs some above zero
    return model


def images(name: str, count: int = 2) -> torch.Tensor:
    size = ONE_OF_EACH.get(name, 64)
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def watched(name: str, model: nn.Module):
    """The module that makes the target tensor, and how its output becomes (N, C, h, w)."""
    if name == "densenet121":
        return model.features, relu
    if name.startswith("vit"):
        return model.encoder.layers[-1].ln_1, lambda out: out
    return model.get_submodule(get_backbone(name).family.layer), lambda out: out


def whole_network_map(model: nn.Module, name: str, x: torch.Tensor, target: torch.Tensor):
    """Grad-CAM by its definition: hooks, and a backward through everything, in float64."""
    model, kept = model.double(), {}
    module, finish = watched(name, model)

    def keep(_module, _inputs, output):
        kept["features"] = finish(output)
        return kept["features"]

    handle = module.register_forward_hook(keep)
    logits = model(x.double())
    handle.remove()
    chosen = logits[torch.arange(len(x)), target].sum()
    features = kept["features"]
    (gradient,) = torch.autograd.grad(chosen, features)
    if features.dim() == 3:  # tokens: the first is the class token, the rest a square of patches
        side = round((features.shape[1] - 1) ** 0.5)
        features, gradient = (
            t[:, 1:].transpose(1, 2).unflatten(2, (side, side)) for t in (features, gradient)
        )
    weights = gradient.mean((2, 3), keepdim=True)
    cam = (weights * features).sum(1).relu()
    model.float()
    return logits.detach(), cam.detach()


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_equals_autograd_through_the_whole_network(name):
    model, backbone, x = network(name), get_backbone(name), images(name)
    with torch.no_grad():
        target = model(x).argmax(1)
    logits, expected = whole_network_map(model, name, x, target)
    scale = expected.max()
    assert scale > 0
    found = explain(model, backbone, x, [target])
    assert (found.logits.double() - logits).abs().max() / logits.abs().max() <= 1e-5
    # maxvit with random weights: the rounding of its own float32 forward is as large as this.
    tolerance = 1e-4 if name == "maxvit_t" else 1e-5
    assert (found.maps[0].double() - expected).abs().max() / scale <= tolerance
    exact = explain(model.double(), backbone, x.double(), [target])
    assert (exact.maps[0] - expected).abs().max() / scale <= 1e-12


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "vgg16"])
def test_equals_the_grad_cam_package_on_the_native_grid(name):
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    model, backbone, x = network(name), get_backbone(name), images(name)
    target = torch.tensor([1, 3])
    found = explain(model, backbone, x, [target]).maps[0].numpy()
    with GradCAM(model, [model.get_submodule(backbone.family.layer)]) as package:
        package(x, [ClassifierOutputTarget(int(t)) for t in target])
        activations, gradients = (
            kept[0].numpy()
            for kept in (
                package.activations_and_grads.activations,
                package.activations_and_grads.gradients,
            )
        )
        theirs = package.get_cam_image(
            x, None, package.target_layers, activations, gradients, False
        )
    theirs = np.maximum(theirs, 0)
    assert theirs.max() > 0
    assert np.abs(found - theirs).max() <= 1e-5 * max(1.0, theirs.max())


def test_signed_sum_is_the_logit_without_its_bias():
    model, backbone, x = network("resnet18"), get_backbone("resnet18"), images("resnet18")
    features, _ = backbone.split(model, x)
    signed = torch.einsum("c,nchw->nhw", model.fc.weight[2], features)
    logit = model(x)[:, 2] - model.fc.bias[2]
    assert torch.allclose(signed.mean((1, 2)), logit, atol=1e-5)
    found = explain(model, backbone, x, [torch.tensor([2, 2])]).maps[0]
    cells = features.shape[2] * features.shape[3]
    assert torch.allclose(found * cells, signed.relu(), atol=1e-5)


def test_hand_worked_map():
    class Tiny(nn.Module):
        def __init__(self):
            super().__init__()
            self.features = nn.Identity()
            self.classifier = nn.Linear(2, 2, bias=False)

    model = Tiny().eval()
    model.classifier.weight.data = torch.tensor([[1.0, -2.0], [0.5, 3.0]])
    x = torch.tensor([[[[4.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 2.0]]]])
    found = explain(model, get_backbone("small_cnn"), x, [torch.tensor([0]), "predicted"])
    # Means: 1 and 0.75. Logits: 1 - 1.5 = -0.5 and 0.5 + 2.25 = 2.75: class 1 is predicted.
    assert found.logits.tolist() == [[-0.5, 2.75]]
    # alpha = w / 4. Class 0: 4 x 0.25 - 1 x 0.5 = 0.5 top left; -1 bottom right becomes 0.
    assert found.maps[0].tolist() == [[[0.5, 0.0], [0.0, 0.0]]]
    # Class 1: 4 x 0.125 + 1 x 0.75 = 1.25 top left; 2 x 0.75 = 1.5 bottom right.
    assert found.maps[1].tolist() == [[[1.25, 0.0], [0.0, 1.5]]]


def test_several_targets_from_one_forward_and_none_for_some():
    model, backbone, x = network("resnet18"), get_backbone("resnet18"), images("resnet18", 3)
    calls = []
    handle = model.conv1.register_forward_hook(lambda *_: calls.append(1))
    own = torch.tensor([-1, 0, 4])
    found = explain(model, backbone, x, ["predicted", own])
    handle.remove()
    assert len(calls) == 1
    assert found.maps[1][0].abs().max() == 0
    alone = explain(model, backbone, x[1:], [own[1:]]).maps[0]
    assert torch.allclose(found.maps[1][1:], alone, atol=1e-6)
    predicted = explain(model, backbone, x, [found.logits.argmax(1)]).maps[0]
    assert torch.equal(found.maps[0], predicted)


def test_the_model_is_left_as_it_was_found():
    model, backbone, x = network("mobilenet_v2"), get_backbone("mobilenet_v2"), images("resnet18")
    model.train()
    model.features[0].eval()
    frozen = next(model.parameters()).requires_grad_(False)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    modes = [m.training for m in model.modules()]
    explain(model, backbone, x)
    with pytest.raises(ValueError, match=r"\[-1, 5\)"):
        explain(model, backbone, x, [torch.tensor([0, 5])])
    with pytest.raises(ValueError, match="int64"):
        explain(model, backbone, x, [torch.tensor([0.0, 1.0])])
    assert [m.training for m in model.modules()] == modes
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert not frozen.requires_grad
    assert not any(m._forward_hooks or m._backward_hooks for m in model.modules())


def test_frozen_networks_are_explained_too():
    model, backbone, x = network("resnet18"), get_backbone("resnet18"), images("resnet18")
    free = explain(model, backbone, x).maps[0]
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    with torch.no_grad():
        assert torch.equal(explain(model, backbone, x).maps[0], free)


LARGE = 30_000_000  # parameters; larger networks differ from smaller ones in numbers only
# These compute their widths with tensors that have values, which those of "meta" have not; they
# are built by the code of their smaller sisters.
NOT_META = {f"regnet_{size}" for size in ("x_8gf", "x_16gf", "x_32gf")} | {
    f"regnet_{size}" for size in ("y_8gf", "y_16gf", "y_32gf", "y_128gf")
}


@pytest.mark.parametrize("name", sorted(set(BACKBONES) - set(ONE_OF_EACH) - NOT_META))
def test_target_and_head_make_the_whole_network(name):
    if torchvision.models.get_model_weights(name).DEFAULT.meta["num_params"] > LARGE:
        with torch.device("meta"):  # shapes alone
            model, backbone = create_model(name, 5, "none").eval(), get_backbone(name)
            x = torch.empty(1, 3, *2 * [backbone.image_size])
            target, head = backbone.split(model, x)
            assert head(target).shape == (1, 5)
            assert target.shape[2:].numel() > 1
        return
    model, backbone, x = network(name), get_backbone(name), images(name, 1)
    with torch.no_grad():
        target, head = backbone.split(model, x)
        assert torch.allclose(head(target), model(x), atol=1e-4, rtol=1e-4)
