"""Descriptions of networks: layers, stages, sizes and costs."""

import dataclasses

import pytest
import torch
import torchvision

import fiftyone_gradcam as fg
from fiftyone_gradcam.model.backbones import BACKBONES, get_backbone
from fiftyone_gradcam.model.description import describe
from fiftyone_gradcam.model.stages import stages

# torchvision counts the auxiliary classifier of these weights; it is left out here.
AUXILIARY = {"inception_v3": 3_326_696}


# One network of each build, with images that a processor sees at once.
SMALL = {
    **{"resnet18": 64, "regnet_x_400mf": 64, "squeezenet1_1": 64, "mobilenet_v2": 64},
    **{"mobilenet_v3_small": 64, "mnasnet0_5": 64, "shufflenet_v2_x0_5": 64, "swin_t": 64},
    **{"efficientnet_b0": 64, "densenet121": 64, "googlenet": 64, "inception_v3": 96},
    **{"convnext_tiny": 64, "vgg11_bn": 32, "alexnet": 64, "swin_v2_t": 64, "small_cnn": 32},
    **{"maxvit_t": None, "vit_b_32": None},
}
# Others differ from these in depth and width alone.
PUBLISHED = [
    pytest.param(name, marks=() if name in SMALL else pytest.mark.slow)
    for name in BACKBONES
    if name != "small_cnn"
]


@pytest.mark.parametrize("name", PUBLISHED)
def test_sizes_and_costs_are_those_that_torchvision_gives(name):
    found, meta = describe(name), torchvision.models.get_model_weights(name).DEFAULT.meta
    assert found.parameters == meta["num_params"] - AUXILIARY.get(name, 0)
    # It gives them in units of 1e9 with three decimals.
    assert found.multiply_adds / 1e9 == pytest.approx(meta["_ops"], rel=0.02, abs=0.0005)
    # The rows are the whole network: nothing is left out, nothing counted twice.
    assert sum(layer.parameters for layer in found.layers) == found.parameters
    assert sum(layer.multiply_adds for layer in found.layers) == found.multiply_adds
    for stage in found.stages:
        own = [layer.parameters for layer in found.layers if layer.stage == stage.number]
        assert sum(own) == stage.parameters
    assert len(str(found).splitlines()) < 135


def test_the_auxiliary_classifier_is_the_difference():
    model = torchvision.models.inception_v3(weights=None, init_weights=False)
    assert sum(p.numel() for p in model.AuxLogits.parameters()) == AUXILIARY["inception_v3"]


@pytest.mark.parametrize("name", SMALL)
def test_shapes_are_those_of_a_network_with_values(name):
    backbone = get_backbone(name)
    found = describe(name, 7, SMALL[name])
    assert found.image_size == (SMALL[name] or 224)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = backbone.build(7).eval()
    image, outputs = torch.randn(1, 3, found.image_size, found.image_size), {}
    for key, module in model.named_modules():
        module.register_forward_hook(
            lambda _, __, output, key=key: outputs.__setitem__(key, output)
        )
    with torch.no_grad():
        model(image)
        target, _ = backbone.split(model, image)
    assert found.target_shape == tuple(target.shape[1:])
    weights = dict(model.named_parameters())
    for layer in found.layers:
        if layer.kind == "Parameter":
            assert weights[layer.name].numel() == layer.parameters
        else:
            assert layer.output == tuple(outputs[layer.name].shape[1:])
            assert layer.kind == type(model.get_submodule(layer.name)).__name__
    wanted = stages(model, backbone.family.last_layer)
    assert [stage.name for stage in found.stages] == list(wanted)
    for stage, keys in zip(found.stages, wanted.values(), strict=True):
        assert stage.parameters == sum(weights[key].numel() for key in keys)
        assert stage.output == tuple(outputs[stage.name].shape[1:])
    assert found.parameters == sum(weight.numel() for weight in weights.values())
    assert found.batch_norm == any("running_mean" in key for key in model.state_dict())
    assert found.layers[-1].name.startswith(found.last_layer.split(".", maxsplit=1)[0])


def test_resnet18_by_hand():
    found = describe("resnet18", 10)
    rows = {layer.name: layer for layer in found.layers}
    assert list(rows) == [
        *("conv1", "bn1", "relu", "maxpool", "layer1.0", "layer1.1", "layer2.0", "layer2.1"),
        *("layer3.0", "layer3.1", "layer4.0", "layer4.1", "avgpool", "fc"),
    ]
    # 7 x 7 x 3 weights for each of 64 channels, at each of 112 x 112 places.
    assert dataclasses.astuple(rows["conv1"]) == (
        *("conv1", "Conv2d", 1, (64, 112, 112), 64 * 147),
        64 * 147 * 112 * 112,
    )
    assert dataclasses.astuple(rows["fc"]) == ("fc", "Linear", None, (10,), 5130, 5120)
    assert (rows["relu"].stage, rows["relu"].parameters, rows["relu"].multiply_adds) == (None, 0, 0)
    assert [(s.number, s.name, s.output) for s in found.stages] == [
        (1, "conv1", (64, 112, 112)),
        (2, "layer1", (64, 56, 56)),
        (3, "layer2", (128, 28, 28)),
        (4, "layer3", (256, 14, 14)),
        (5, "layer4", (512, 7, 7)),
    ]
    assert (found.num_classes, found.image_size, found.batch_norm) == (10, 224, True)
    assert (found.last_layer, found.target_layer, found.target_shape) == (
        *("fc", "layer4"),
        (512, 7, 7),
    )


def test_it_is_printed_as_a_table():
    text = str(describe("resnet18", 10, 64))
    lines = [line.split() for line in text.splitlines()]
    assert text.splitlines()[0] == "resnet18, for 10 classes"
    assert ["parameters", "11,181,642"] in lines
    assert ["Grad-CAM", "layer4,", "512", "x", "2", "x", "2"] in lines
    assert ["1", "conv1", "Conv2d", "64", "x", "32", "x", "32", "9,408", "9.6"] in lines
    assert ["new", "fc", "Linear", "10", "5,130", "0.0"] in lines
    assert ["2", "layer1", "64", "x", "16", "x", "16", "147,968"] in lines
    assert max(map(len, text.splitlines())) <= 100


def test_weights_that_are_no_layer_have_a_row():
    first, second, third = describe("vit_b_32").layers[:3]
    assert (first.name, first.kind, first.stage, first.output) == (
        *("class_token", "Parameter", 1),
        (1, 768),
    )
    assert (second.name, second.parameters) == ("encoder.pos_embedding", 50 * 768)
    assert (third.name, third.stage, third.output) == ("conv_proj", 1, (768, 7, 7))


def test_it_says_whether_weights_are_there(monkeypatch, tmp_path):
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    assert describe("resnet18").imagenet_weights == "to be downloaded"
    assert describe("small_cnn").imagenet_weights == "none"
    url = torchvision.models.ResNet18_Weights.DEFAULT.url
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / url.rpartition("/")[2]).write_bytes(b"")
    assert describe("resnet18").imagenet_weights == "cached"


def test_nothing_is_left_behind():
    state = torch.random.get_rng_state()
    assert fg.describe("swin_t") == describe("swin_t")
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.empty(1).device.type == "cpu"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("resnet19",), "Unknown backbone 'resnet19'"),
        (("resnet18", 0), "num_classes must be a whole number of at least 1, not 0"),
        (("resnet18", 2.0), r"num_classes .* not 2\.0"),
        (("resnet18", 2, 8), "image_size must be a whole number of at least 16, not 8"),
        (("vit_b_16", 2, 128), "vit_b_16 only accepts images of 224 pixels, not image_size=128"),
        (("inception_v3", 2, 64), "image_size=64 is too small for inception_v3 .*its own is 299"),
    ],
)
def test_what_cannot_work_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        describe(*arguments)
