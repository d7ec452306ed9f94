"""The methods, targets and layers of `explain`, against hand-worked cases and other packages."""

import gc
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_cam import ONE_OF_EACH, images, network
from torch import nn

from fiftyone_gradcam.explain.cam import explain
from fiftyone_gradcam.explain.methods import METHODS, eigen_cam, grad_cam_plus_plus
from fiftyone_gradcam.model.backbones import get_backbone
from fiftyone_gradcam.model.families import FAMILIES
from fiftyone_gradcam.model.folding import fold_batch_norms


class Cells(nn.Module):
    """A head that reads every cell by itself: logits = W x (all cells of all channels)."""

    def __init__(self):
        super().__init__()
        self.features = nn.Identity()
        self.avgpool = nn.Identity()
        self.classifier = nn.Linear(8, 2, bias=False)
        self.classifier.weight.data = torch.tensor(
            [[1.0, -2, 0, 1, 2, 2, -2, 2], [0.0, 0, 0, 0, 0, 0, 0, 1]]
        )


# Two channels of 2 x 2 cells.
A = torch.tensor([[[[2.0, 1], [0, 3]], [[1.0, 0], [4, 1]]]])


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        # Mean gradients: 0 and 1, so that the second channel is the map.
        ("gradcam", [[1.0, 0], [4, 1]]),
        # g x A, summed: 2 + 2, -2 + 0, 0 - 8, 3 + 2.
        ("hirescam", [[4.0, -2], [-8, 5]]),
        # With negative gradients taken as 0: 2 + 2, 0, 0, 3 + 2.
        ("layercam", [[4.0, 0], [0, 5]]),
        # a = 1 / (2 + 6 g): 1/8, 0.., 1/8 of the first: w = 2/8. Second, of sum 6: 1/14 for g = 2:
        # w = 3 x 2/14. Map = w1 A1 + w2 A2.
        ("gradcam++", [[0.5 + 3 / 7, 0.25], [12 / 7, 0.75 + 3 / 7]]),
    ],
)
def test_hand_worked_maps(method, expected):
    backbone, target = get_backbone("vgg16"), [torch.tensor([0])]
    signed = explain(Cells().eval(), backbone, A, target, method, signed=True).maps[0]
    assert signed[0].flatten().tolist() == pytest.approx(np.ravel(expected), abs=1e-6)
    rectified = explain(Cells().eval(), backbone, A, target, method).maps[0]
    assert torch.equal(rectified, signed.relu())


def test_gradcam_plus_plus_of_tiny_gradients_is_no_rounding_error():
    """Its map is of degree 1 in the gradient while A g is small against 2: halves, halved."""
    gradient = torch.full((1, 2, 1, 1), 1e-12)
    found = grad_cam_plus_plus(A, gradient)
    assert torch.allclose(found, A.sum(1) * 4 * 1e-12 / 2, rtol=1e-5)


def test_eigen_cam_is_the_first_singular_vector():
    features = torch.rand(3, 6, 4, 5, generator=torch.Generator().manual_seed(0))
    for one, found in zip(features, eigen_cam(features), strict=True):
        cells = one.flatten(1).T.numpy()
        _, _, right = np.linalg.svd(cells, full_matrices=False)
        assert np.abs(found.flatten().numpy()) == pytest.approx(np.abs(cells @ right[0]), rel=1e-4)
        assert found.sum() > 0
    model, backbone, x = network("resnet18"), get_backbone("resnet18"), images("resnet18")
    maps = explain(model, backbone, x, ["predicted", "runner_up"], "eigencam").maps
    assert torch.equal(*maps)


AVERAGING = [name for name in ONE_OF_EACH if get_backbone(name).family.averages]


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "mobilenet_v3_small", "convnext_tiny"])
def test_where_the_head_averages_hirescam_is_gradcam(name):
    model, backbone, x = network(name), get_backbone(name), images(name)
    assert name in AVERAGING
    # A layer that is named gets a gradient for each cell, also where they are all the same.
    layer = {"densenet121": "relu"}.get(name, backbone.family.layer)
    for method in ("gradcam", "hirescam"):
        fast = explain(model, backbone, x).maps[0]
        cell_by_cell = explain(model, backbone, x, method=method, layer=layer).maps[0]
        assert torch.allclose(fast, cell_by_cell, atol=1e-5 * fast.max())


@pytest.mark.parametrize("name", ["vit_b_32", "vgg16"])
def test_where_it_does_not_they_differ(name):
    model, backbone, x = network(name), get_backbone(name), images(name)
    first, second = (explain(model, backbone, x, method=m) for m in ("gradcam", "hirescam"))
    assert (first.maps[0] - second.maps[0]).abs().max() > 0.01 * first.maps[0].max()


@pytest.mark.parametrize("method", ["hirescam", "layercam"])
@pytest.mark.parametrize("name", ["resnet18", "vgg16"])
def test_methods_equal_the_grad_cam_package(name, method):
    import pytorch_grad_cam as package
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    model, backbone, x = network(name), get_backbone(name), images(name)
    target = torch.tensor([1, 3])
    found = explain(model, backbone, x, [target], method, signed=True).maps[0].numpy()
    kind = {"hirescam": package.HiResCAM, "layercam": package.LayerCAM}[method]
    layers = [model.get_submodule(backbone.family.layer)]
    with kind(model, layers) as cam:
        classes = [ClassifierOutputTarget(int(t)) for t in target]
        cam(x, classes)
        kept = cam.activations_and_grads
        activations, gradients = kept.activations[0].detach().numpy(), kept.gradients[0].numpy()
        theirs = cam.get_cam_image(x, layers[0], classes, activations, gradients, False)
    scale = np.abs(theirs).max()
    assert scale > 0
    assert np.abs(found - theirs).max() <= 1e-5 * scale


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_equals_the_torchcam_package(name):
    from torchcam.methods import GradCAM

    model, backbone, x = network(name), get_backbone(name), images(name)
    with GradCAM(model, target_layer=backbone.family.layer) as extractor:
        logits = model(x)
        (theirs,) = extractor([1, 3], logits, normalized=False)
    theirs = theirs.detach().relu()
    found = explain(model, backbone, x, [torch.tensor([1, 3])]).maps[0]
    assert theirs.max() > 0
    assert (found - theirs).abs().max() <= 1e-5 * theirs.max()


def test_score_cam_by_hand():
    class Corner(nn.Module):
        def __init__(self):
            super().__init__()
            self.features = nn.Identity()

        def classifier(self, means):
            return torch.stack([means[:, 2], 8 * means[:, 0]], 1)

        def forward(self, x):
            return self.classifier(self.features(x).mean((2, 3)))

    x = torch.tensor([[[[1.0, 0], [0, 0]], [[0.0, 0], [0, 1]], [[0.0, 0], [0, 0]]]])
    found = explain(Corner(), get_backbone("small_cnn"), x, [torch.tensor([1])], "scorecam")
    # Masked by the first channel the logit is 8 / 4 = 2, by the others 0: weights e^2 : 1 : 1.
    share = np.exp(2) / (np.exp(2) + 2)
    assert found.maps[0][0].flatten().tolist() == pytest.approx(
        [share, 0, 0, (1 - share) / 2], abs=1e-6
    )


def test_score_cam_of_a_network():
    model, backbone = network("small_cnn"), get_backbone("small_cnn")
    x = images("small_cnn", 2)
    found = explain(model, backbone, x, ["predicted"], "scorecam")
    with torch.no_grad():
        for one, label, cam in zip(x, found.classes[0], found.maps[0], strict=True):
            features = model.features(one[None])[0]
            masks = nn.functional.interpolate(features[None], one.shape[1:], mode="bilinear")[0]
            span = masks.amax((1, 2)) - masks.amin((1, 2))
            masks = (masks - masks.amin((1, 2))[:, None, None]) / span[:, None, None].clamp(1e-8)
            scores = torch.stack([model((one * mask)[None])[0, label] for mask in masks])
            expected = torch.einsum("k,khw->hw", scores.softmax(0), features)
            assert torch.allclose(cam, expected, atol=1e-4 * float(expected.max()))


def test_finite_differences():
    """alpha_k is the slope of the logit when channel k of the target tensor is raised."""
    for name in ("vgg16", "mobilenet_v3_small", "squeezenet1_1"):
        model, backbone, x = network(name).double(), get_backbone(name), images(name, 1).double()
        with torch.no_grad():
            features, head = backbone.split(model, x)
            step, cells = 1e-6, features.shape[2] * features.shape[3]
            slopes = []
            for channel in range(8):
                raised, lowered = features.clone(), features.clone()
                raised[:, channel] += step
                lowered[:, channel] -= step
                slopes.append((head(raised) - head(lowered))[0, 3] / (2 * step) / cells)
            gradient = grad_of(model, backbone, features, head)
        assert torch.allclose(gradient[:8], torch.stack(slopes), rtol=1e-4, atol=1e-9)


def grad_of(model, backbone, features, head):
    from fiftyone_gradcam.explain.cam import _differentiable
    from fiftyone_gradcam.model.splitting import splitter_of

    _, gradient = _differentiable(model, splitter_of(backbone), features, head)
    return gradient(torch.tensor([3])).mean((2, 3))[0]


def test_other_weights_give_another_map():
    """The sanity check of Adebayo et al.: a map that does not depend on the weights says nothing.
    Layer by layer from the top, each randomisation must change it further."""
    model, backbone, x = network("resnet18"), get_backbone("resnet18"), images("resnet18")
    target = [torch.tensor([1, 2])]
    before = explain(model, backbone, x, target, signed=True).maps[0].flatten()
    for part in (model.fc, model.layer4, model.layer1):
        for module in part.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
        after = explain(model, backbone, x, target, signed=True).maps[0].flatten()
        assert abs(np.corrcoef(before, after)[0, 1]) < 0.7


def test_runner_up_and_signed_maps():
    model, backbone, x = network("resnet18"), get_backbone("resnet18"), images("resnet18", 4)
    found = explain(model, backbone, x, ["predicted", "runner_up"], signed=True)
    order = found.logits.argsort(1, descending=True)
    assert torch.equal(found.classes[0], order[:, 0])
    assert torch.equal(found.classes[1], order[:, 1])
    bias = model.fc.bias.detach()
    for cams, classes in zip(found.maps, found.classes, strict=True):
        logit = found.logits.gather(1, classes[:, None])[:, 0]
        assert torch.allclose(cams.sum((1, 2)), logit - bias[classes], atol=1e-4)
    with pytest.raises(ValueError, match="'winner'"):
        explain(model, backbone, x, ["winner"])
    with pytest.raises(ValueError, match="Unknown method 'cam'.*gradcam, hirescam"):
        explain(model, backbone, x, method="cam")


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
    with pytest.raises(ValueError, match=r"'fc' is \(2, 5\), and no map"):
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


def test_methods_are_described():
    assert list(METHODS) == [
        "gradcam", "hirescam", "layercam", "gradcam++", "eigencam", "scorecam"
    ]  # fmt: skip


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
