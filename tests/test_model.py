"""Training, recipes, weights and checkpoints."""

import numpy as np
import pytest
import torch
import torchvision
from conftest import save_digits

from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.model.augment import augment
from fiftyone_gradcam.model.backbones import BACKBONES, MEAN, STD, get_backbone
from fiftyone_gradcam.model.checkpoint import load_checkpoint, save_checkpoint
from fiftyone_gradcam.model.recipe import Recipe
from fiftyone_gradcam.model.training import Labelled, _warm_cosine, train
from fiftyone_gradcam.model.weights import create_model

QUICK = Recipe(
    "small_cnn",
    "none",
    epochs=4,
    batch_size=16,
    image_size=16,
    horizontal_flip=False,
    translation=0.0,
)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    root = save_digits(tmp_path_factory.mktemp("model") / "digits", per_class=40)
    paths = sorted(root.glob("*/*.png"))
    labels = np.array([int(p.parent.name[-1]) for p in paths])
    held = np.arange(len(paths)) % 4 == 0
    images = Images([str(p) for p in paths], 16, cache_bytes=1 << 24)
    return (
        Labelled(images, labels, np.flatnonzero(~held)),
        Labelled(images, labels, np.flatnonzero(held)),
    )


def test_training_learns_keeps_the_best_and_repeats_itself(digits):
    steps = []
    state = torch.random.get_rng_state()
    first = train(QUICK, 3, *digits, device="cpu", on_step=lambda *s: steps.append(s))
    assert torch.equal(torch.random.get_rng_state(), state)
    second = train(QUICK, 3, *digits, device="cpu")
    assert first.history[-1].val_accuracy >= 0.9
    best = max(first.history, key=lambda e: (e.val_accuracy, -e.val_loss))
    assert first.best_epoch == best.epoch
    for a, b in zip(first.history, second.history, strict=True):
        assert (a.train_loss, a.val_loss) == pytest.approx((b.train_loss, b.val_loss), rel=1e-4)
    other = train(Recipe(**{**QUICK.to_dict(), "seed": 1}), 3, *digits, device="cpu")
    assert other.history[0].train_loss != pytest.approx(first.history[0].train_loss, rel=1e-4)
    assert [done for done, _, epoch in steps if epoch] == [120, 240, 360, 480]
    assert steps[-1][:2] == (480, 480)
    assert not first.model.training

    # The kept weights are those of the best epoch: they give its accuracy again.
    held = digits[1]
    (batch,) = held.images.batches(100, held.positions)
    with torch.no_grad():
        predicted = first.model(get_backbone("small_cnn").normalize(batch.images)).argmax(1).numpy()
    assert (predicted == held.labels[batch.positions]).mean() == pytest.approx(best.val_accuracy)


@pytest.mark.parametrize(
    "name", ["resnet18", "resnet50", "squeezenet1_1", "mobilenet_v2", "googlenet", "vgg16"]
)
def test_every_kind_of_backbone_is_trained_and_comes_back(digits, tmp_path, name):
    recipe = Recipe(name, "none", epochs=1, batch_size=4, image_size=64, seed=2)
    images = Images(digits[0].images.paths[36:44], 64)
    data = Labelled(images, np.array([0, 0, 0, 0, 1, 1, 1, 1]))
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        before = create_model(name, 2, "none").state_dict()
    found = train(recipe, 2, data, data, device="cpu")
    after = found.model.state_dict()
    last = get_backbone(name).family.last_layer
    assert not torch.equal(after[f"{last}.weight"], before[f"{last}.weight"])
    path = str(tmp_path / "model.pt")
    save_checkpoint(path, after, {"backbone": name, "classes": ["a", "b"]})
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(load_checkpoint(path)[0](x), found.model(x), atol=1e-4)


def test_without_a_watched_set_the_last_epoch_is_kept(digits):
    found = train(QUICK, 3, digits[0], device="cpu")
    assert found.best_epoch == 4
    assert found.history[0].val_accuracy is None


def test_undecodable_training_images_are_left_out_or_refused(tmp_path, digits):
    good = digits[0].images.paths[:4]
    (tmp_path / "bad.png").write_bytes(b"bad")
    images = Images([*good, str(tmp_path / "bad.png")], 16)
    train(QUICK, 2, Labelled(images, np.array([0, 1, 0, 1, 0])), device="cpu")
    assert list(images.failures) == [4]
    only_bad = Labelled(Images([str(tmp_path / "bad.png")], 16), np.array([0]))
    with pytest.raises(ValueError, match=r"No training image can be decoded.*bad\.png"):
        train(QUICK, 2, only_bad, device="cpu")


def test_a_diverging_training_says_so(digits):
    recipe = Recipe(**{**QUICK.to_dict(), "learning_rate": 10.0, "weight_decay": 10.0})
    model_breaks = Labelled(digits[0].images, digits[0].labels, digits[0].positions)
    original = torch.optim.AdamW.step

    def exploding(self, *args, **kwargs):
        original(self, *args, **kwargs)
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.data.fill_(float("nan"))

    torch.optim.AdamW.step = exploding
    try:
        with pytest.raises(ValueError, match=r"learning_rate=10.*Lower it"):
            train(recipe, 3, model_breaks, device="cpu")
    finally:
        torch.optim.AdamW.step = original


def test_schedule_rises_then_falls_to_zero():
    factors = [_warm_cosine(step, 4, 20) for step in range(21)]
    assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert factors[12] == pytest.approx(0.5)
    assert factors[20] == pytest.approx(0.0)


def test_last_layer_learns_faster_only_when_pretrained():
    from fiftyone_gradcam.model.training import _Loop

    model = create_model("squeezenet1_1", 2, "none")
    for weights, factor in (("imagenet", 10), ("none", 1)):
        recipe = Recipe("squeezenet1_1", weights, learning_rate=1e-3)
        loop = _Loop(recipe, get_backbone("squeezenet1_1"), model, None, None, None)
        rest, last = loop._groups()
        assert last["lr"] == pytest.approx(factor * rest["lr"])
        assert [p.shape[0] for p in last["params"]] == [2, 2]
        assert len(rest["params"]) + 2 == len(list(model.parameters()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "resnet19"}, r"Unknown backbone 'resnet19'.*resnet18.*small_cnn"),
        ({"epochs": 0}, "epochs must be a whole number of at least 1, not 0"),
        ({"epochs": True}, "epochs"),
        ({"batch_size": 2.5}, r"batch_size .*2\.5"),
        ({"learning_rate": -1}, "learning_rate .*-1"),
        ({"label_smoothing": 1}, "label_smoothing .*1"),
        ({"image_size": 8}, "image_size .*8"),
        ({"backbone": "vit_b_16", "image_size": 128}, "vit_b_16 is made for images of 224.*128"),
    ],
)
def test_recipes_refuse_what_cannot_work(options, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**options)


def test_recipe_defaults_follow_the_backbone():
    assert Recipe("resnet18").image_size == 224
    assert Recipe("small_cnn", "none").image_size == 32
    assert Recipe("resnet18").learning_rate == 1e-4
    assert Recipe("vgg16", "none").learning_rate == 1e-4
    assert Recipe("resnet18", "none").learning_rate == 1e-3
    recipe = Recipe("resnet18", epochs=3, zoom=0.5)
    assert Recipe(**recipe.to_dict()) == recipe


def test_normalize():
    image = torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 1, 2).expand(1, 3, 1, 2)
    found = get_backbone("resnet18").normalize(image)
    for channel in range(3):
        assert found[0, channel, 0, 0] == pytest.approx(-MEAN[channel] / STD[channel])
        assert found[0, channel, 0, 1] == pytest.approx((1 - MEAN[channel]) / STD[channel])


def gradient_images(count: int = 64) -> torch.Tensor:
    row = torch.arange(0, 240, 15, dtype=torch.uint8)
    return row.view(1, 1, 1, 16).expand(count, 3, 16, 16).contiguous()


def test_flip_mirrors_half_of_the_images():
    images = gradient_images()
    found = augment(images, Recipe("small_cnn", "none", translation=0.0), np.random.default_rng(0))
    mirrored = [torch.equal(x, images[0].flip(2)) for x in found]
    kept = [torch.equal(x, images[0]) for x in found]
    assert sum(mirrored) + sum(kept) == 64
    assert 20 < sum(mirrored) < 44
    assert torch.equal(images, gradient_images())  # the cache is left alone


def test_translation_and_zoom_move_within_their_range():
    images = gradient_images()
    shift = Recipe("small_cnn", "none", horizontal_flip=False, translation=0.25)
    centre = augment(images, shift, np.random.default_rng(0))[:, 0, 8, 7:9].mean(1)
    moved = (centre - 112.5) / 15  # in pixels
    assert moved.abs().max() <= 4.01
    assert moved.max() > 3
    assert moved.min() < -3
    zoom = Recipe("small_cnn", "none", horizontal_flip=False, translation=0.0, zoom=3.0)
    found = augment(images, zoom, np.random.default_rng(0))[:, 0, 8]
    slope = (found[:, 10] - found[:, 5]) / 75
    assert slope.min() >= 0.49  # enlarged at most fourfold in area: half the slope
    assert slope.max() <= 1.01
    assert slope.min() < 0.6


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


def test_without_a_network_the_remedy_is_told(monkeypatch, tmp_path):
    from urllib.error import URLError

    def offline(*args, **kwargs):
        raise URLError("no route")

    monkeypatch.setattr("torch.hub.urlopen", offline, raising=False)
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    with pytest.raises(ConnectionError, match=r"resnet18.*no route.*resnet18.*\.pth.*'none'"):
        create_model("resnet18", 3, "imagenet")


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
