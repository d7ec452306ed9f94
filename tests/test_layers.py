"""Maps at any layer, and what makes them fast: folded batch norms, means of gradients, no hooks."""

import gc
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_cam import images, network
from torch import nn

from fiftyone_gradcam.explain.cam import explain
from fiftyone_gradcam.model.backbones import get_backbone
from fiftyone_gradcam.model.families import FAMILIES, _squeezenet_gradient
from fiftyone_gradcam.model.folding import fold_batch_norms


@pytest.mark.parametrize(
    ("name", "layer"),
    [("resnet18", "layer3"), ("resnet18", "layer3.1.add"), ("densenet121", "features.denseblock3"),
     ("vgg16", "features.28"), ("vit_b_32", "encoder.layers.encoder_layer_10.ln_1"),
     ("swin_t", "features.5")],
)  # fmt: skip
def test_any_layer_can_be_named(name, layer):
    """Against autograd through the whole network, at the same module or, for a node, after it."""
    model, backbone, x = network(name).double(), get_backbone(name), images(name).double()
    target = torch.tensor([1, 3])
    found = explain(model, backbone, x, [target], layer=layer)
    assert found.layer == layer
    assert torch.allclose(found.logits, model(x).detach(), atol=1e-9)
    kept = []
    module = model.get_submodule("layer3.1" if layer == "layer3.1.add" else layer)

    def keep(_module, inputs, output):
        kept.append(output)
        return output * 1.0  # what follows may work in place

    if layer == "layer3.1.add":  # the sum before the last ReLU of the block
        handle = module.relu.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0] * 1))
        model(x)
        handle.remove()
        kept = kept[-1:]
        logits = model.fc(model.avgpool(model.layer4(kept[0].relu())).flatten(1))
    else:
        handle = module.register_forward_hook(keep)
        logits = model(x)
        handle.remove()
    features = kept[0]
    (gradient,) = torch.autograd.grad(logits[[0, 1], target].sum(), features)
    if name == "swin_t":
        features, gradient = (t.permute(0, 3, 1, 2) for t in (features, gradient))
    if name == "vit_b_32":
        features, gradient = (
            t[:, 1:].transpose(1, 2).unflatten(2, (7, 7)) for t in (features, gradient)
        )
    expected = (gradient.mean((2, 3), keepdim=True) * features).sum(1).relu()
    assert expected.max() > 0
    assert torch.allclose(found.maps[0], expected.detach(), atol=1e-9 * float(expected.max()))


def test_layers_that_are_no_map_are_refused():
    model, backbone, x = network("resnet18"), get_backbone("resnet18"), images("resnet18")
    with pytest.raises(ValueError, match=r"no layer 'layer5'.*layer4"):
        explain(model, backbone, x, layer="layer5")
    with pytest.raises(ValueError, match=r"'fc' is \(2, 5\), which is not a map"):
        explain(model, backbone, x, layer="fc")


@pytest.mark.parametrize("batches", [500, pytest.param(2000, marks=pytest.mark.slow)])
def test_many_batches_leave_no_hook_and_no_growth(batches):
    def memory() -> int:
        """What the process holds now, in pages."""
        return int(Path("/proc/self/statm").read_text().split()[1])

    def tensors() -> int:
        gc.collect()
        return sum(issubclass(type(o), torch.Tensor) for o in gc.get_objects())

    model, backbone = network("small_cnn"), get_backbone("small_cnn")
    x = images("small_cnn", 2)[..., :16, :16]  # small, and maps that were kept would be noticed

    def some(model: nn.Module, count: int) -> None:
        for _ in range(count):
            explain(model, backbone, x, ["predicted", "runner_up"], layer="features.stage3")

    some(model, 200)
    before, count = memory(), tensors()
    some(model, batches)
    assert memory() - before < 2560  # 10 MiB
    assert tensors() <= count
    assert not any(m._forward_hooks or m._backward_hooks for m in model.modules())
    watch = weakref.ref(model)
    del model
    gc.collect()
    assert watch() is None  # no cache keeps it


@pytest.mark.parametrize(
    "name", ["resnet18", "mobilenet_v2", "googlenet", "regnet_x_400mf", "small_cnn"]
)
def test_folded_batch_norms_change_nothing_but_the_speed(name):
    model, backbone, x = network(name), get_backbone(name), images(name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    folded = fold_batch_norms(model)
    norms = sum(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    assert norms < 1
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    target = [torch.tensor([1, 3])]
    found, expected = (explain(m, backbone, x, target) for m in (folded, model))
    scale = expected.logits.abs().max()
    assert (found.logits - expected.logits).abs().max() <= 1e-5 * scale
    assert (found.maps[0] - expected.maps[0]).abs().max() <= 1e-5 * expected.maps[0].max()


@pytest.mark.parametrize("side", [224, 130])
def test_the_mean_gradient_of_large_heads_is_that_of_autograd(side):
    """Also where cells are pooled unevenly, and after the weights have changed."""
    torch.manual_seed(0)
    backbone = get_backbone("alexnet")
    model = backbone.build(4, hidden=(8,)).eval()
    with torch.no_grad():
        target, head = backbone.split(model, torch.randn(2, 3, side, side))
    classes = torch.tensor([3, 0])
    for _ in range(2):
        leaf = target.clone().requires_grad_()
        right = head(leaf)
        (gradient,) = torch.autograd.grad(right[[0, 1], classes].sum(), leaf)
        logits, mean_gradient = backbone.family.mean_gradient(model, target)
        found = mean_gradient(classes)
        assert found.shape == (*target.shape[:2], 1, 1)
        torch.testing.assert_close(logits, right)
        expected = gradient.mean((2, 3), keepdim=True)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6 * float(expected.max()))
        with torch.no_grad():
            next(x for x in model.classifier if isinstance(x, torch.nn.Linear)).weight.mul_(-1.5)
    assert all(weight.grad is None for weight in model.parameters())


def test_the_gradient_of_a_mean_of_relus_is_that_of_autograd():
    """Of values near zero too: each cell counts where its own logit is positive."""
    torch.manual_seed(0)
    backbone = get_backbone("squeezenet1_1")
    model = backbone.build(4).eval()
    target, classes = torch.rand(2, 512, 5, 6).requires_grad_(), torch.tensor([3, 0])
    with torch.no_grad():
        model.classifier[1].bias.copy_(torch.tensor([0.1, 0.0, 0.0, -0.1]))
    _, head = backbone.split(model, torch.zeros(2, 3, 64, 64))
    (expected,) = torch.autograd.grad(head(target)[[0, 1], classes].sum(), target)
    found = _squeezenet_gradient(model, target.detach(), classes)
    assert 0 < (expected == 0).float().mean() < 1
    torch.testing.assert_close(found, expected)


def test_grad_cam_takes_means_and_other_methods_all_cells(monkeypatch):
    torch.manual_seed(0)
    backbone = get_backbone("alexnet")
    model, asked = backbone.build(3).eval(), []
    own = backbone.family.mean_gradient
    counting = replace(backbone.family, mean_gradient=lambda *x: asked.append(1) or own(*x))
    x = torch.randn(2, 3, 96, 96)
    right = explain(model, backbone, x)
    monkeypatch.setitem(FAMILIES, "alexnet", counting)
    torch.testing.assert_close(explain(model, backbone, x).maps, right.maps)
    assert asked == [1]
    for method in ("hirescam", "layercam", "gradcam++", "eigencam"):
        explain(model, backbone, x, method=method)
    assert asked == [1]
