"""Networks of timm, with random weights: their maps are those of the grad-cam package."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import absent

import fiftyone_gradcam as fg
from fiftyone_gradcam.explain.cam import explain_network

CLASSES = ["ant", "bee", "wasp"]
SIZE = 64
NETWORKS = {  # options of timm's, tokens, the layer that is found
    "resnet18": ({}, None, "layer4"),
    "convnext_atto": ({}, None, "stages"),
    "vit_tiny_patch16_224": ({"img_size": SIZE}, 1, "blocks.11.norm1"),
    "deit_tiny_distilled_patch16_224": ({"img_size": SIZE}, 2, "blocks.11.norm1"),
    "mobilevit_xxs": ({}, None, "final_conv"),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_maps_equal_those_of_the_grad_cam_package(name):
    try:
        import timm
    except ImportError:
        absent("timm, of tests/requirements.txt")
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    options, tokens, layer = NETWORKS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        module = timm.create_model(name, pretrained=False, num_classes=3, **options).eval()
        images = torch.randint(0, 256, (2, 3, SIZE, SIZE), dtype=torch.uint8)
    network = fg.Network(module, CLASSES, image_size=SIZE, tokens=tokens)
    assert network.layer == layer
    assert (network.untraced == "") == (name != "mobilevit_xxs")  # whose forward asks for shapes
    inputs = network.normalize(images)
    classes = torch.tensor([2, 0])
    found = explain_network(network, inputs, [classes], signed=True)
    assert torch.allclose(found.logits, module(inputs), atol=1e-4)

    def as_map(x: torch.Tensor) -> torch.Tensor:
        return x[:, tokens:].transpose(1, 2).unflatten(2, (4, 4))

    place = module.get_submodule(layer)
    targets = [ClassifierOutputTarget(int(t)) for t in classes]
    with GradCAM(module, [place], reshape_transform=as_map if tokens else None) as cam:
        cam(inputs, targets)
        kept = cam.activations_and_grads
        activations, gradients = kept.activations[0].detach().numpy(), kept.gradients[0].numpy()
        theirs = cam.get_cam_image(inputs, place, targets, activations, gradients, False)
    assert found.maps[0].shape == theirs.shape
    assert np.abs(found.maps[0].numpy() - theirs).max() <= 1e-3 * np.abs(theirs).max()
