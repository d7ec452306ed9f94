"""Stages, frozen ones, and new layers."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from fiftyone_gradcam.explain.cam import explain
from fiftyone_gradcam.model.backbones import BACKBONES, get_backbone
from fiftyone_gradcam.model.blank import build_blank
from fiftyone_gradcam.model.checkpoint import load_checkpoint, save_checkpoint
from fiftyone_gradcam.model.heads import dropout_before, new_layers
from fiftyone_gradcam.model.stages import stages
from fiftyone_gradcam.model.weights import create_model
from fiftyone_gradcam.training.freezing import Freezer
from fiftyone_gradcam.training.recipe import Recipe
from fiftyone_gradcam.training.sources import read_features

# The smallest network of each build.
SMALLEST = {
    "alexnet": 7, "convnext_tiny": 8, "densenet121": 8, "efficientnet_b0": 9, "googlenet": 12,
    "inception_v3": 16, "maxvit_t": 6, "mnasnet0_5": 10, "mobilenet_v2": 19,
    "mobilenet_v3_small": 14, "regnet_y_400mf": 5, "resnet18": 5, "shufflenet_v2_x0_5": 5,
    "small_cnn": 3, "squeezenet1_1": 9, "swin_t": 8, "vgg11_bn": 10, "vit_b_32": 13,
}  # fmt: skip


def build(name: str, **options) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return get_backbone(name).build(3, **options).eval()


def test_every_build_is_here():
    assert {BACKBONES[name].family_name for name in SMALLEST} == {
        row.family_name for row in BACKBONES.values()
    }


@pytest.mark.parametrize(("name", "count"), SMALLEST.items())
def test_every_weight_belongs_to_one_stage_or_to_the_last_layer(name, count):
    backbone = get_backbone(name)
    model, last = build_blank(backbone, 3), backbone.family.last_layer + "."
    found = stages(model, last[:-1])
    assert len(found) == count
    placed = [key for keys in found.values() for key in keys]
    own = [key for key, _ in model.named_parameters() if key.startswith(last)]
    assert sorted([*placed, *own]) == sorted(key for key, _ in model.named_parameters())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet18", ["conv1", "layer1", "layer2", "layer3", "layer4"]),
        ("squeezenet1_1", [f"features.{i}" for i in (0, 3, 4, 6, 7, 9, 10, 11, 12)]),
        ("small_cnn", ["features.stage1", "features.stage2", "features.stage3"]),
    ],
)
def test_stages_by_hand(name, expected):
    backbone = get_backbone(name)
    found = stages(build_blank(backbone, 3), backbone.family.last_layer)
    assert list(found) == expected
    if name == "resnet18":
        assert found["conv1"] == ["conv1.weight", "bn1.weight", "bn1.bias"]
    vgg = stages(build_blank(get_backbone("vgg11"), 3), "classifier.6")
    assert list(vgg)[:4] == [f"features.{i}" for i in (0, 3, 6, 8)]
    assert list(vgg)[-2:] == ["classifier.0", "classifier.3"]


def test_a_layer_that_is_named_like_a_container_is_a_stage():
    layers = {"features": nn.Conv2d(3, 4, 1), "norm": nn.BatchNorm2d(4), "head": nn.Linear(4, 2)}
    found = stages(nn.Sequential(OrderedDict(layers)), "head")
    own = ["features.weight", "features.bias", "norm.weight", "norm.bias"]
    assert found == {"features": own}


def test_the_order_of_stages_is_that_of_the_forward():
    for name in ("googlenet", "densenet121", "regnet_y_400mf", "shufflenet_v2_x0_5", "vit_b_32"):
        model, seen = build(name), []
        found = stages(model, get_backbone(name).family.last_layer)
        for stage in found:
            model.get_submodule(stage).register_forward_pre_hook(
                lambda *_, stage=stage, seen=seen: seen.append(stage)
            )
        size = get_backbone(name).image_size if "vit" in name else 64
        with torch.no_grad():
            model(torch.zeros(1, 3, size, size))
        assert seen == list(found)


def test_freezer_counts_and_refuses():
    model, backbone = build("resnet18"), get_backbone("resnet18")
    freezer = Freezer(model, backbone, Recipe(freeze=2, epochs=4, gradual_unfreezing=True))
    assert [freezer.frozen(epoch) for epoch in (1, 2, 3, 4)] == [5, 4, 3, 2]
    assert Freezer(model, backbone, Recipe(freeze="backbone")).frozen(1) == 5
    assert Freezer(model, backbone, Recipe()).frozen(1) == 0
    freezer.train(2)
    learning = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert not any(name.startswith(("conv1", "bn1", "layer1")) for name in learning)
    assert {name.split(".")[0] for name in learning} == {"layer2", "layer3", "layer4", "fc"}
    assert not model.bn1.training
    assert not model.layer1[0].bn1.training
    assert model.layer2[0].bn1.training
    with pytest.raises(ValueError, match=r"freeze=6 is more than the 5 stages.*conv1, layer1"):
        Freezer(model, backbone, Recipe(freeze=6))


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("resnet18", None),
        ("mobilenet_v2", 0.2),
        ("vgg11", 0.5),
        ("alexnet", None),
        ("vit_b_32", None),
    ],
)
def test_dropout_before_the_last_layer(name, own):
    last = get_backbone(name).family.last_layer
    found = dropout_before(build(name), last)
    assert (found and found.p) == own
    changed = build(name, dropout=0.3)
    layers = new_layers(changed, last)
    rates = [m.p for m in layers.modules() if isinstance(m, nn.Dropout)]
    assert rates == [0.3]
    x = torch.zeros(1, 3, 224, 224)
    with torch.no_grad():
        assert changed(x).shape == (1, 3)


@pytest.mark.parametrize("name", SMALLEST)
def test_features_and_new_layers_together_are_the_network(name):
    backbone = get_backbone(name)
    model = build(name, hidden=(6, 5), dropout=0.5)
    size = backbone.image_size if backbone.family.size_option else 75
    x = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        (features,) = read_features(model, backbone, [x])
        layers = new_layers(model, backbone.family.last_layer, backbone.family.after)
        assert torch.allclose(layers(features), model(x), atol=1e-5)
    kinds = [type(m).__name__ for m in model.get_submodule(backbone.family.last_layer)]
    plain = {"Linear", "Conv2d"}
    assert [k for k in kinds if k in plain] == [kinds[-1]] * 3
    widths = [p.shape[0] for k, p in layers.named_parameters() if k.endswith("weight")]
    assert widths == [6, 5, 3]


def test_squeezenet_with_hidden_layers_is_explained_exactly():
    backbone, model = get_backbone("squeezenet1_1"), build("squeezenet1_1", hidden=(16,)).double()
    x = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    found = explain(model, backbone, x, [torch.tensor([0, 2])], signed=True).maps[0]
    target, head = backbone.split(model, x)
    target = target.detach().requires_grad_(True)
    head(target)[[0, 1], [0, 2]].sum().backward()
    expected = (target.grad.mean((2, 3), keepdim=True) * target).sum(1)
    assert torch.allclose(found, expected.detach(), atol=1e-12)


def test_hidden_layers_go_into_the_checkpoint(tmp_path):
    recipe = Recipe("squeezenet1_1", "none", hidden=(8,), dropout=0.1)
    model = create_model("squeezenet1_1", 3, "none", recipe.hidden, recipe.dropout).eval()
    path = str(tmp_path / "model.pt")
    description = {"backbone": "squeezenet1_1", "classes": list("abc"), "recipe": recipe.to_dict()}
    save_checkpoint(path, model.state_dict(), description)
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(load_checkpoint(path)[0](x), model(x))
    # Its weights serve another training, whatever new layers that has.
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    other = create_model("squeezenet1_1", 7, str(tmp_path / "weights.pt"))
    assert torch.equal(other.features[0].weight, model.features[0].weight)


def test_a_training_of_one_epoch_unfreezes_all_and_random_layers_stay_random():
    backbone, model = get_backbone("small_cnn"), build("small_cnn", dropout=0.5)
    choices = {"backbone": "small_cnn", "weights": "none", "gradual_unfreezing": True}

    def frozen(epochs: int, **more) -> list[int]:
        freezer = Freezer(model, backbone, Recipe(**choices, **more, epochs=epochs))
        return [freezer.frozen(epoch) for epoch in range(1, epochs + 1)]

    assert [frozen(epochs) for epochs in (1, 2, 3)] == [[0], [3, 0], [3, 2, 0]]
    assert frozen(3, freeze=1) == [3, 2, 1]
    freezer = Freezer(model, backbone, Recipe(**choices))
    freezer.train(0)
    assert all(module.training for module in model.modules())
    freezer.train(3)
    assert [module.training for module in model.modules() if isinstance(module, nn.Dropout)] == [
        True
    ]
