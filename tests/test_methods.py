"""The methods and targets of `explain`, against hand-worked cases and other packages."""

import numpy as np
import pytest
import torch
from test_cam import ONE_OF_EACH, images, network
from torch import nn

from fiftyone_gradcam.explain.cam import explain
from fiftyone_gradcam.explain.methods import METHODS, eigen_cam, grad_cam_plus_plus
from fiftyone_gradcam.model.backbones import get_backbone


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


def test_methods_are_described():
    assert list(METHODS) == [
        "gradcam", "hirescam", "layercam", "gradcam++", "eigencam", "scorecam"
    ]  # fmt: skip
