"""A network ready for use: the same as the module it is of, and told apart from others."""

from __future__ import annotations

import copy

import pytest
import torch

from fiftyone_gradcam.explain.cam import PREDICTED, RUNNER_UP, explain, explain_network
from fiftyone_gradcam.model.backbones import get_backbone
from fiftyone_gradcam.model.folding import fold_batch_norms
from fiftyone_gradcam.model.network import Network

NAMES = ("small_cnn", "squeezenet1_1", "mobilenet_v2", "resnet18")


def build(name: str, seed: int = 0):
    torch.manual_seed(seed)
    return get_backbone(name).build(3).eval()


def network_of(name: str, module, size: int = 64, resize: str = "crop", **others) -> Network:
    return Network.of_backbone(get_backbone(name), module, "abc", size, resize, "cpu", **others)


def images(count: int = 2, size: int = 64) -> torch.Tensor:
    random = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 3, size, size), generator=random, dtype=torch.uint8)


def assert_close(found: torch.Tensor, wanted: torch.Tensor) -> None:
    """Equal up to rounding, relative to the largest value."""
    assert (found - wanted).abs().max() <= 1e-5 * wanted.abs().max()


@pytest.mark.parametrize("name", NAMES)
def test_equals_the_folded_module(name):
    module, backbone = build(name), get_backbone(name)
    network = network_of(name, module)
    folded = fold_batch_norms(module).to(memory_format=torch.channels_last)
    inputs = network.normalize(images())
    assert torch.equal(inputs, backbone.normalize(images()))
    found = explain_network(network, inputs, [PREDICTED, RUNNER_UP])
    wanted = explain(folded, backbone, inputs, [PREDICTED, RUNNER_UP])
    # Fused convolutions may add in another order.
    assert_close(found.logits, wanted.logits)
    for one, other in zip(found.maps, wanted.maps, strict=True):
        assert_close(one, other)
    assert found.layer == wanted.layer == network.layer == backbone.family.layer
    with torch.no_grad():
        assert_close(network.logits(inputs), folded(inputs))
        target, head = network.split(inputs)
        torch.testing.assert_close(head(target), module(inputs), rtol=1e-4, atol=1e-5)


def test_a_named_layer_is_split_there_and_not_folded():
    module = build("resnet18")
    network = network_of("resnet18", module, layer="layer3")
    inputs = network.normalize(images())
    target, _ = network.split(inputs)
    assert target.shape == (2, 256, 4, 4)
    wanted = explain(module, get_backbone("resnet18"), inputs, layer="layer3")
    assert torch.equal(explain_network(network, inputs).maps[0], wanted.maps[0])
    with pytest.raises(ValueError, match="no layer 'layer33' in the network. Similar: layer3"):
        network_of("resnet18", module, layer="layer33")


def test_the_digest_is_of_all_that_makes_the_target_tensor_and_of_nothing_else():
    module = build("resnet18")
    digest = network_of("resnet18", module).digest
    assert network_of("resnet18", copy.deepcopy(module)).digest == digest
    other_head = copy.deepcopy(module)
    torch.nn.init.ones_(other_head.fc.weight)
    assert network_of("resnet18", other_head).digest == digest
    other_layer = copy.deepcopy(module)
    other_layer.layer4[1].conv2.weight.data[0, 0, 0, 0] += 1e-3
    others = [
        network_of("resnet18", other_layer),
        network_of("resnet18", module, size=96),
        network_of("resnet18", module, resize="squash"),
        network_of("resnet18", module, layer="layer3"),
        network_of("resnet18", build("resnet18", seed=1)),
    ]
    assert len({digest, *(one.digest for one in others)}) == 1 + len(others)
