"""The table of backbones, weights and checkpoints."""

import traceback

import numpy as np
import pytest
import torch
import torchvision
from conftest import save_digits

from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.model.backbones import BACKBONES, MEAN, STD, get_backbone
from fiftyone_gradcam.model.blank import build_unset
from fiftyone_gradcam.model.checkpoint import load_checkpoint, save_checkpoint
from fiftyone_gradcam.model.weights import create_model, create_pretrained
from fiftyone_gradcam.training.loop import train
from fiftyone_gradcam.training.recipe import Recipe
from fiftyone_gradcam.training.sources import Labelled

# The smallest network of each build that torchvision has.
BUILDS = (
    "alexnet convnext_tiny densenet121 efficientnet_b0 googlenet inception_v3 maxvit_t mnasnet0_5 "
    "mobilenet_v2 mobilenet_v3_small regnet_y_400mf resnet18 shufflenet_v2_x0_5 small_cnn "
    "squeezenet1_1 swin_t vgg11 vit_b_32"
)


@pytest.mark.parametrize("name", BUILDS.split())
def test_every_build_is_trained_and_comes_back(tmp_path, name):
    root = save_digits(tmp_path / "digits", per_class=1, classes=2)
    size = None if get_backbone(name).family.size_option else 75
    recipe = Recipe(name, "none", epochs=1, batch_size=4, image_size=size, seed=2)
    images = Images([str(p) for p in sorted(root.glob("*/*.png"))], recipe.image_size)
    data = Labelled(images, np.array([0, 1]))
    found = train(recipe, 2, data, data, device="cpu")
    assert found.head_change > 0
    assert np.isfinite(found.history[0].train_loss)
    description = {"backbone": name, "classes": ["a", "b"], "recipe": recipe.to_dict()}
    path = str(tmp_path / "model.pt")
    save_checkpoint(path, found.model.state_dict(), description)
    drawn = torch.random.get_rng_state()
    loaded = load_checkpoint(path)[0]
    assert torch.equal(torch.random.get_rng_state(), drawn)  # nobody's random numbers are used
    assert not loaded.training
    wanted, values = found.model.state_dict(), loaded.state_dict()
    assert list(values) == list(wanted)
    for key, value in wanted.items():
        assert values[key].dtype == value.dtype, key
        assert torch.equal(values[key], value), key
    assert all(weight.requires_grad for weight in loaded.parameters())
    assert all(value.device.type == "cpu" for value in [*loaded.parameters(), *loaded.buffers()])


def test_counts_that_an_older_file_lacks_are_those_of_a_new_network():
    model = build_unset(get_backbone("resnet18"), 3)
    fresh = get_backbone("resnet18").build(3)
    for name, value in fresh.named_buffers():
        assert torch.equal(model.get_buffer(name), value), name
    hidden = build_unset(get_backbone("resnet18"), 3, hidden=(5,), dropout=0.25)
    assert str(hidden) == str(get_backbone("resnet18").build(3, (5,), 0.25).eval())


def test_normalize():
    image = torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 1, 2).expand(1, 3, 1, 2)
    found = get_backbone("resnet18").normalize(image)
    for channel in range(3):
        assert found[0, channel, 0, 0] == pytest.approx(-MEAN[channel] / STD[channel])
        assert found[0, channel, 0, 1] == pytest.approx((1 - MEAN[channel]) / STD[channel])


def test_weights_files(tmp_path):
    torch.manual_seed(0)
    source = create_model("squeezenet1_1", 7, "none")
    path = str(tmp_path / "weights.pth")
    torch.save({"state_dict": {f"module.{k}": v for k, v in source.state_dict().items()}}, path)
    model = create_model("squeezenet1_1", 3, path)
    for key, value in model.state_dict().items():
        if key.startswith("classifier.1"):
            assert value.shape[0] == 3
        else:
            assert torch.equal(value, source.state_dict()[key])
    same = create_model("squeezenet1_1", 7, path)
    assert torch.equal(same.classifier[1].weight, source.classifier[1].weight)
    with pytest.raises(ValueError, match=r"not those of 'resnet18'.*missing"):
        create_model("resnet18", 3, path)
    with pytest.raises(FileNotFoundError, match=r"No weights file at .*gone\.pth"):
        create_model("resnet18", 3, str(tmp_path / "gone.pth"))
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(ValueError, match=r"text\.pth.*safely"):
        create_model("resnet18", 3, str(tmp_path / "text.pth"))
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="no state dict"):
        create_model("resnet18", 3, str(tmp_path / "list.pth"))
    with pytest.raises(ValueError, match="no ImageNet weights"):
        create_model("small_cnn", 3, "imagenet")


def test_without_a_network_the_remedy_is_reported(monkeypatch, tmp_path):
    from urllib.error import URLError

    def offline(*args, **kwargs):
        raise URLError("no route")

    monkeypatch.setattr("urllib.request.urlopen", offline)
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    with pytest.raises(
        ConnectionError, match=r"resnet18.*no route.*resnet18.*\.pth.*'none'"
    ) as caught:
        create_model("resnet18", 3, "imagenet")
    with pytest.raises(ConnectionError, match=r"resnet18.*no route.*resnet18.*\.pth") as other:
        create_pretrained("resnet18")
    assert "backbone=" not in str(caught.value)
    (tmp_path / "checkpoints").mkdir(exist_ok=True)
    (tmp_path / "checkpoints" / "mobilenet_v2-7ebf99e0.pth").touch()  # as torchvision names it
    with pytest.raises(ConnectionError, match="use backbone='mobilenet_v2', whose weights are on"):
        create_model("resnet18", 3, "imagenet")
    # One traceback: those of urllib and http, from one to the next, would hide the message.
    for error in (caught.value, other.value):
        text = "".join(traceback.format_exception(error))
        assert text.count("Traceback (most recent call last)") == 1
        assert text.count("no route") == 1


def test_code_in_a_weights_file_is_never_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    torch.save({"state_dict": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(ValueError, match="safely"):
        create_model("resnet18", 3, str(tmp_path / "evil.pth"))
    with pytest.raises(ValueError, match="checkpoint"):
        load_checkpoint(str(tmp_path / "evil.pth"))
    assert not (tmp_path / "owned").exists()


def test_checkpoints_are_whole_or_absent(tmp_path, monkeypatch):
    model = create_model("small_cnn", 3, "none").eval()
    path = str(tmp_path / "run" / "model.pt")
    description = {"backbone": "small_cnn", "classes": ["a", "b", "c"]}
    save_checkpoint(path, model.state_dict(), description)
    loaded, found = load_checkpoint(path)
    x = torch.randn(2, 3, 32, 32)
    assert found == description
    assert torch.equal(loaded(x), model(x))

    def broken(*args):
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", broken)
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(path, {}, {})
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["model.pt"]
    assert torch.equal(load_checkpoint(path)[0](x), model(x))
    with pytest.raises(FileNotFoundError, match="Train again"):
        load_checkpoint(str(tmp_path / "gone.pt"))


def test_the_table_has_every_torchvision_classifier_as_its_weights_want_it():
    names = torchvision.models.list_models(module=torchvision.models)
    assert set(BACKBONES) == {*names, "small_cnn"}
    for name in names:
        wanted = torchvision.models.get_model_weights(name).DEFAULT.transforms()
        row = BACKBONES[name]
        assert row.image_size == wanted.crop_size[0], name
        assert (row.mean, row.std) == (tuple(wanted.mean), tuple(wanted.std)), name


@pytest.mark.parametrize("name", ["squeezenet1_1", "squeezenet1_0", "mobilenet_v2"])
def test_real_weights_recognise_real_photos(real, name):
    model = create_model(name, 1000, str(real / "weights" / f"{name}.pth")).eval()
    synsets = (real / "weights" / "synset_words.txt").read_text().splitlines()
    photos = sorted((real / "data" / "fruit-boxes" / "test").glob("banana_*.jpg"))[:20]
    (batch,) = Images([str(p) for p in photos], 224).batches(20)
    with torch.no_grad():
        predicted = model(get_backbone(name).normalize(batch.images)).argmax(1)
    assert sum("banana" in synsets[i] for i in predicted) >= 8
