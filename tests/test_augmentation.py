"""Noise, cutout and MixUp, and the sheet of augmented images that `preview_augmentation` writes."""

import os

import fiftyone as fo
import numpy as np
import pytest
import torch
from conftest import save_digits
from PIL import Image

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.files import dataset_folder
from fiftyone_gradcam.explain.overlay import MARGIN
from fiftyone_gradcam.training import recipes
from fiftyone_gradcam.training.augment import augment, mix
from fiftyone_gradcam.training.recipe import Recipe
from fiftyone_gradcam.workflow.augmentation import preview_augmentation

OFF = {
    "horizontal_flip": False,
    **dict.fromkeys(("translation", "scale", "rotation", "brightness", "contrast"), 0),
}
SMALL = {"backbone": "small_cnn", "image_size": 16}
CELL, TEXT = 128, 22  # pixels of a picture of theirs on the sheet, and of the line below it
SIDE, COUNT = 64, 200


def even(value: int) -> torch.Tensor:
    return torch.full((COUNT, 3, SIDE, SIDE), value, dtype=torch.uint8)


def changed(images: torch.Tensor, **choices) -> torch.Tensor:
    recipe = Recipe("small_cnn", "none", image_size=SIDE, **OFF, **choices)
    before = images.clone()
    found = augment(images, recipe, np.random.default_rng(0))
    assert torch.equal(images, before)
    return found


def test_noise_turns_its_share_of_the_pixels_black_or_white():
    grey = even(100)
    found = changed(grey, noise=0.1)
    assert set(found.unique().tolist()) == {0, 100, 255}
    assert torch.equal(found[:, 0], found[:, 1])
    assert torch.equal(found[:, 0], found[:, 2])
    pixels = COUNT * SIDE**2
    for value in (0, 255):
        assert (found[:, 0] == value).sum() / pixels == pytest.approx(0.05, abs=0.001)
    full = changed(grey[:4], noise=1.0)
    assert set(full.unique().tolist()) == {0, 255}


@pytest.mark.parametrize(("share", "width"), [(0.25, 16), (0.4, 26), (1.0, 64), (0.001, 0)])
def test_cutout_is_a_square_of_the_mean_colour_that_may_stick_out(share, width):
    white = even(255)
    found = changed(white, cutout=share)
    grey = 255 * torch.tensor([0.485, 0.456, 0.406])
    cut = (found - grey.view(1, 3, 1, 1)).abs().amax(1) < 1e-3
    assert bool((found[:, 0][~cut] == 255).all())
    if not width:
        assert not cut.any()
        return
    for direction in (1, 2):
        spans = cut.any(direction)
        lengths = spans.sum(1)
        assert lengths.max() == width
        assert lengths.min() < 0.6 * width + 2  # centred on the edge
        # From the first to the last, nothing left out.
        assert bool(((spans[:, 1:] != spans[:, :-1]).sum(1) <= 2).all())
        starts = spans.int().argmax(1)
        whole = (lengths == width) & (starts > 0) & (starts + width < SIDE)
        if width < 40:  # the share of centres that leave the square inside
            inside = (SIDE - width) / SIDE
            assert float(whole.float().mean()) == pytest.approx(inside, abs=0.12)
    filled = cut.sum((1, 2))
    assert torch.equal(filled, cut.any(1).sum(1) * cut.any(2).sum(1))


@pytest.mark.parametrize("alpha", [0.2, 2.0])
def test_mixup_mixes_images_and_labels_alike(alpha):
    count = 1500
    values = torch.arange(count).float()
    images = (values / count).view(-1, 1, 1, 1).expand(count, 3, 2, 2)
    labels = torch.arange(count)  # each image a class of its own
    mixed, targets = mix(images, labels, count, alpha, np.random.default_rng(0))
    assert mixed.dtype == targets.dtype == torch.float32
    assert torch.allclose(targets.sum(1), torch.ones(count))
    assert targets.min() >= 0
    own = targets.diagonal()
    others = targets - torch.diag(own)
    assert bool((own >= 0.5).all())
    assert int((others > 0).sum(1).max()) == 1
    assert int((others > 0).sum(0).max()) == 1  # each image is the other of one at most
    expected = targets.double() @ (values.double() / count)
    assert torch.allclose(mixed.double(), expected.view(-1, 1, 1, 1).expand_as(mixed), atol=1e-5)
    # The variance of Beta(a, a) about 1/2 is 1 / (4 (2 a + 1)).
    assert float((own - 0.5).square().mean()) == pytest.approx(1 / (8 * alpha + 4), rel=0.08)
    assert own.min() < 0.55
    again, _ = mix(images, labels, count, alpha, np.random.default_rng(0))
    assert torch.equal(mixed, again)


def test_mixup_of_few_classes_by_hand():
    """Two images can only be mixed with each other, or each with itself."""
    images = torch.zeros(2, 3, 1, 1, dtype=torch.uint8)
    images[1] = 200
    labels = torch.tensor([2, 0])
    seen = set()
    for seed in range(10):
        mixed, targets = mix(images, labels, 3, 1.0, np.random.default_rng(seed))
        first, second = float(targets[0, 2]), float(targets[1, 0])
        seen.add(first < 1)
        assert bool((targets[:, 1] == 0).all())
        assert mixed[0].flatten().tolist() == pytest.approx([200 * (1 - first)] * 3, abs=1e-3)
        assert mixed[1].flatten().tolist() == pytest.approx([200 * second] * 3, abs=1e-3)
    assert seen == {False, True}
    assert images[1].unique().tolist() == [200]


def cells(path: str) -> np.ndarray:
    """The pictures of a sheet, (rows, columns, CELL, CELL, 3)."""
    pixels = np.asarray(Image.open(path)).astype(int)
    rows = (pixels.shape[0] - MARGIN) // (CELL + TEXT + MARGIN)
    columns = (pixels.shape[1] - MARGIN) // (CELL + MARGIN)
    tops = MARGIN + np.arange(rows) * (CELL + TEXT + MARGIN)
    lefts = MARGIN + np.arange(columns) * (CELL + MARGIN)
    return np.array([[pixels[t : t + CELL, x : x + CELL] for x in lefts] for t in tops])


def test_a_preview_shows_images_and_their_augmented_copies(digits, name, tmp_path):
    dataset = fg.import_folders(str(digits), name)
    path = str(tmp_path / "new" / "sheet.png")
    still = preview_augmentation(dataset, path=path, count=4, copies=2, **SMALL, **OFF)
    assert still == path
    found = cells(path)
    assert found.shape == (4, 3, CELL, CELL, 3)
    assert np.array_equal(found[:, 1:], np.repeat(found[:, :1], 2, axis=1))
    large = {
        Image.open(file).convert("RGB").resize((CELL, CELL), Image.Resampling.LANCZOS).tobytes()
        for file in digits.glob("*/*.png")
    }
    assert all(row[0].astype(np.uint8).tobytes() in large for row in found)
    mirrored = {**SMALL, **OFF, "horizontal_flip": True}
    preview_augmentation(dataset, path=path, copies=9, overwrite=True, **mirrored)
    found = cells(path)
    assert found.shape == (6, 10, CELL, CELL, 3)
    flips = 0
    for row in found:
        for copy in row[1:]:
            as_it_was, flipped = (np.abs(copy - x).max() <= 2 for x in (row[0], row[0][:, ::-1]))
            assert as_it_was or flipped
            flips += int(flipped)
    assert 12 < flips < 42
    assert os.listdir(tmp_path / "new") == ["sheet.png"]


def test_a_preview_draws_training_samples_of_each_class_in_turn(tmp_path, name):
    colors = {"a": (250, 0, 0), "b": (0, 250, 0), "c": (0, 0, 250)}
    dataset = fo.Dataset(name)
    for label, color in colors.items():
        for number in range(4):
            shade = tuple(max(0, value - 10 * number) for value in color)
            file = tmp_path / f"{label}{number}.png"
            Image.new("RGB", (16, 16), shade).save(file)
            tags = ["train"] if number < 2 else ["val"]
            own = fo.Classification(label=label)
            dataset.add_sample(fo.Sample(str(file), tags=tags, ground_truth=own))
    Image.new("RGB", (16, 16), (9, 9, 9)).save(tmp_path / "bare.png")
    dataset.add_sample(fo.Sample(str(tmp_path / "bare.png"), tags=["train"]))
    options = {**SMALL, "copies": 1, "count": 50}
    path = preview_augmentation(dataset, Recipe("small_cnn", "none", **OFF), **options)
    assert path == os.path.join(dataset_folder(dataset), "augmentation.png")
    found = cells(path)[:, 0, 60, 60]
    assert found.argmax(1).tolist() == [0, 1, 2, 0, 1, 2]
    assert sorted(found.max(1)) == [240] * 3 + [250] * 3
    orders = set()
    for seed in range(6):
        preview_augmentation(dataset, **{**options, **OFF, "count": 3, "seed": seed})
        orders.add(tuple(cells(path)[:, 0, 60, 60].max(1)))
    assert len(orders) > 1
    rest = dataset.match_tags("val")
    preview_augmentation(rest, **options, **OFF)
    assert sorted(cells(path)[:, 0, 60, 60].max(1)) == [220] * 3 + [230] * 3


def test_a_cell_of_a_preview_is_as_large_as_the_image_within_limits(tmp_path, name, capsys):
    dataset = fg.import_folders(str(save_digits(tmp_path / "d", per_class=2)), name)
    path = str(tmp_path / "sheet.png")
    few = dataset.limit(5)  # one of the last class
    preview_augmentation(few, path=path, count=5, copies=1, **SMALL)
    assert cells(path).shape[:2] == (5, 2)
    first = dataset.first()
    Image.effect_noise((64, 16), 90).save(first.filepath)
    sheets = {}
    for resize in ("crop", "squash", "letterbox"):
        options = {**SMALL, **OFF, "count": 1, "copies": 1, "overwrite": True, "resize": resize}
        preview_augmentation(dataset.limit(1), path=path, **options)
        sheets[resize] = cells(path).tobytes()
    assert len(set(sheets.values())) == 3
    os.unlink(path)
    capsys.readouterr()
    for side, cell in ((16, CELL), (200, 200), (300, 256)):
        options = {**SMALL, "image_size": side, "overwrite": side > 16}
        preview_augmentation(dataset, path=path, count=2, copies=1, **options)
        words = f"Wrote 1 augmented copy of 2 images to {path}"
        assert capsys.readouterr().out.splitlines()[-1] == words
        sides = Image.open(path).size
        assert sides == (2 * (cell + MARGIN) + MARGIN, 2 * (cell + TEXT + MARGIN) + MARGIN)


def test_a_preview_needs_no_weights(tmp_path, name, monkeypatch):
    def fail(*args):
        raise AssertionError(args)

    dataset = fg.import_folders(str(save_digits(tmp_path / "digits", per_class=2)), name)
    monkeypatch.setattr(recipes, "weights_at_hand", fail)  # which may download them
    options = {"backbone": "squeezenet1_1", "image_size": 32, "count": 1, "copies": 1}
    path = fg.preview_augmentation(dataset, path=str(tmp_path / "a.png"), weights="auto", **options)
    assert cells(path).shape[:2] == (1, 2)


def test_a_preview_of_mixup_shows_mixtures(tmp_path, name):
    dataset = fo.Dataset(name)
    for label, color in (("a", (240, 0, 0)), ("b", (0, 0, 240))):
        Image.new("RGB", (16, 16), color).save(tmp_path / f"{label}.png")
        own = fo.Classification(label=label)
        dataset.add_sample(fo.Sample(str(tmp_path / f"{label}.png"), ground_truth=own))
    path = str(tmp_path / "sheet.png")
    preview_augmentation(dataset, path=path, copies=30, mixup=5.0, **SMALL, **OFF)
    found = cells(path)[:, :, 60, 60]
    assert found[:, 0].tolist() == [[240, 0, 0], [0, 0, 240]]
    assert np.abs(found.sum(2) - 240).max() <= 1
    assert (found[0, 1:, 0] >= 119).all()
    assert (found[1, 1:, 2] >= 119).all()
    mixed = (found.min(2, where=[True, False, True], initial=255) > 20).mean()
    assert 0.2 < mixed < 0.8  # half of the time, two images are each mixed with itself


def test_a_preview_leaves_out_what_cannot_be_decoded_and_refuses_what_cannot_work(
    tmp_path, name, capsys
):
    dataset = fg.import_folders(str(save_digits(tmp_path / "d", per_class=2)), name)
    paths = dataset.values("filepath")
    for path in paths[:5]:
        with open(path, "wb") as file:
            file.write(b"broken")
    path = str(tmp_path / "sheet.png")
    preview_augmentation(dataset, path=path, copies=1, **SMALL)
    assert cells(path).shape[:2] == (1, 2)
    assert "Left out 5 images" in capsys.readouterr().out
    before = (tmp_path / "sheet.png").read_bytes()
    (tmp_path / "folder.png").mkdir()
    folder = {"path": str(tmp_path / "folder.png"), "overwrite": True}
    wrong = [
        ({}, "sheet.png' exists already. Choose another path, or pass overwrite=True to replace"),
        (folder, "folder.png' exists already. Choose another path$"),
        ({"count": True}, "count must be a whole number from 1 to 100, not True"),
        ({"copies": 101}, "copies must be a whole number from 1 to 100, not 101"),
        ({"path": str(tmp_path / "d")}, "path must name a PNG file"),
        ({"count": 0}, "count must be a whole number from 1 to 100, not 0"),
        ({"copies": 2.5}, r"copies .*2\.5"),
        ({"flip": True}, "no option 'flip'"),
        ({"label_field": "labels"}, "'labels' is not a classification field"),
        ({"rotation": 200}, "rotation must be degrees"),
    ]
    for options, message in wrong:
        with pytest.raises(ValueError, match=message):
            preview_augmentation(dataset, **{**SMALL, "path": path, **options})
    for file in paths:
        os.unlink(file)
    new = str(tmp_path / "other" / "new.png")
    with pytest.raises(ValueError, match=r"None of 6 files.*file not found.*relocate"):
        preview_augmentation(dataset, path=new, **SMALL)
    dataset.clear_sample_field("ground_truth")
    with pytest.raises(ValueError, match="No sample here has a label in 'ground_truth'"):
        preview_augmentation(dataset, path=new, **SMALL)
    assert not (tmp_path / "other").exists()
    assert (tmp_path / "sheet.png").read_bytes() == before
