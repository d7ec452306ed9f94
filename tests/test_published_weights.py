"""ImageNet weights in the forms in which they are published; torchvision is the oracle."""

import gc
from http.client import IncompleteRead

import numpy as np
import pytest
import torch
from conftest import save_digits
from published import as_published, as_saved, cache, differences, first_mnasnet, theirs
from torch import nn

from fiftyone_gradcam import doctor
from fiftyone_gradcam.doctor_finding import Finding
from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.model.backbones import get_backbone
from fiftyone_gradcam.model.checkpoint import load_checkpoint, save_checkpoint
from fiftyone_gradcam.model.state_file import WeightsError
from fiftyone_gradcam.model.weights import create_model, create_pretrained, weights_at_hand
from fiftyone_gradcam.training.loop import train
from fiftyone_gradcam.training.recipe import Recipe
from fiftyone_gradcam.training.sources import Labelled

# A network of each family and build, and the sides of images that are enough for it.
OLDER = {
    "alexnet": 64, "densenet121": 32, "googlenet": 32, "inception_v3": 75, "mnasnet0_5": 32,
    "mobilenet_v2": 32, "resnet18": 32, "resnet50": 32, "shufflenet_v2_x0_5": 32,
    "squeezenet1_1": 32, "vgg11_bn": 32, "vit_b_32": 224,
}  # fmt: skip
TODAY = {
    "convnext_tiny": 32, "densenet121": 32, "efficientnet_b0": 32, "efficientnet_v2_s": 32,
    "googlenet": 32, "maxvit_t": 224, "mnasnet0_75": 32, "mobilenet_v3_small": 32,
    "regnet_x_400mf": 32, "regnet_y_400mf": 32, "resnet18": 32, "swin_t": 32, "swin_v2_t": 32,
}  # fmt: skip
CASES = [("older", name) for name in OLDER] + [("today", name) for name in TODAY]
DRAWS = (
    *("kaiming_normal_", "kaiming_uniform_", "normal_", "trunc_normal_", "uniform_"),
    *("xavier_normal_", "xavier_uniform_"),
)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A cache of torch's that is empty, and no way to download."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def offline(*_, **__):
        raise AssertionError("the file is in the cache")

    monkeypatch.setattr("urllib.request.urlopen", offline)
    yield tmp_path
    gc.collect()


@pytest.fixture
def without_draws(monkeypatch):
    """New networks keep what their memory holds: every value is to come from a file."""
    for draw in DRAWS:
        monkeypatch.setattr(nn.init, draw, lambda tensor, *_, **__: tensor)


@pytest.mark.parametrize(("form", "name"), CASES)
def test_published_weights_are_loaded_as_torchvision_loads_them(home, without_draws, form, name):
    state = as_published(name) if form == "older" else as_saved(name)
    file = cache(home, name, state)
    expected = theirs(name)
    ours = create_pretrained(name)
    assert differences(ours, expected) == []
    side = {**OLDER, **TODAY}[name]
    x = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        assert torch.equal(ours(x), expected(x))
    del ours
    # As a file, for other classes: all but the last layer.
    moved = file.rename(home / "mine.pth")
    head = get_backbone(name).family.last_layer + "."
    if name in ("densenet121", "resnet18", "vit_b_32"):
        assert differences(create_model(name, 1000, str(moved)), expected) == []
    own = create_model(name, 5, str(moved))
    assert differences(own, expected, head) == []
    assert own.state_dict()[f"{head}weight"].shape[0] == 5


@pytest.mark.filterwarnings("ignore:A new version of MNASNet")
def test_a_first_mnasnet_keeps_its_stem_through_training_and_checkpoints(home):
    name = "mnasnet0_5"
    file = cache(home, name, first_mnasnet(name, 0.5))
    expected = theirs(name)
    assert expected.layers[0].out_channels == 32  # that of today has 16
    assert differences(create_pretrained(name), expected) == []
    root = save_digits(home / "digits", per_class=2, classes=2)
    recipe = Recipe(name, str(file), epochs=1, batch_size=4, image_size=32, freeze="backbone")
    images = Images([str(p) for p in sorted(root.glob("*/*.png"))], recipe.image_size)
    data = Labelled(images, np.array([0, 0, 1, 1]))
    found = train(recipe, 2, data, data, device="cpu")
    assert differences(found.model, expected, "classifier.1.") == []
    path = str(home / "model.pt")
    description = {"backbone": name, "classes": ["a", "b"], "recipe": recipe.to_dict()}
    save_checkpoint(path, found.model.state_dict(), description)
    assert differences(load_checkpoint(path)[0], found.model) == []


def test_doctor_loads_the_weights_that_it_vouches_for(home):
    cache(home, "resnet18", as_published("resnet18"))
    cache(home, "mnasnet1_0", as_saved("mnasnet1_0"))
    assert doctor.check_weights() == Finding(True, "ImageNet weights cached: resnet18, mnasnet1_0")
    assert weights_at_hand("resnet18") == "imagenet"
    state = as_published("squeezenet1_1")
    state["features.3.squeeze.bias"][2] = float("nan")
    broken = cache(home, "squeezenet1_1", state)
    half = cache(home, "alexnet", {"features.0.weight": torch.zeros(64, 3, 11, 11)})
    cut = cache(home, "mobilenet_v2", as_published("mobilenet_v2"))
    cut.write_bytes(cut.read_bytes()[:100_000])
    finding = doctor.check_weights()
    assert not finding.ok
    assert "'features.3.squeeze.bias'" in finding.text
    assert "mobilenet_v2" in finding.text
    assert "'alexnet': 13 tensors missing" in finding.text
    for path in (broken, half, cut):
        assert f"{str(path)!r}" in finding.remedy
    assert "resnet18" not in finding.text
    for name in ("squeezenet1_1", "alexnet", "mobilenet_v2"):
        with pytest.raises(WeightsError, match=f"cached .*{name}.*Delete .*downloaded again"):
            create_model(name, 3)


def test_what_is_wrong_with_an_older_file_is_counted_by_todays_names(tmp_path):
    state = as_published("vit_b_32")
    state["encoder.pos_embedding"] = state["encoder.pos_embedding"][:, :10]
    torch.save(state, tmp_path / "older.pth")
    with pytest.raises(WeightsError, match="0 tensors missing, 0 unknown, 1 of another shape"):
        create_model("vit_b_32", 3, str(tmp_path / "older.pth"))


def test_a_full_disk_is_no_missing_network(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("urllib.request.urlopen", full)
    with pytest.raises(OSError, match="'resnet18' cannot be written .No space left.*TORCH_HOME"):
        create_model("resnet18", 3)

    def cut(*_, **__):
        raise IncompleteRead(b"", 7)

    monkeypatch.setattr("urllib.request.urlopen", cut)
    with pytest.raises(ConnectionError, match="download.*'resnet18'.*IncompleteRead.*7 more"):
        create_model("resnet18", 3)
