"""Augmentation against torchvision, Pillow and SciPy, which change one image at a time.

Most tests recover what was drawn: the first two channels of `probe` tell where each pixel of a
result comes from, and the third is what other libraries must change alike.
"""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import map_coordinates
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as V

from fiftyone_gradcam.training.augment import augment
from fiftyone_gradcam.training.recipe import Recipe

SIDE = 64
COUNT = 200
BILINEAR = InterpolationMode.BILINEAR
OFF = {"horizontal_flip": False, "translation": 0}
EVERYTHING = {
    "horizontal_flip": True,
    "vertical_flip": True,
    "translation": 6,
    "scale": 0.2,
    "crop": 0.5,
    "rotation": 20,
    "elastic": 3,
    "brightness": 0.3,
    "contrast": 0.3,
    "noise": 0.05,
    "cutout": 0.3,
}


def recipe(**choices) -> Recipe:
    return Recipe("small_cnn", "none", image_size=SIDE, **{**OFF, **choices})


def probe(count: int = COUNT) -> torch.Tensor:
    """Copies of an image whose channels are 4 x, 4 y and a texture."""
    y, x = np.mgrid[:SIDE, :SIDE]
    texture = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE))
    image = torch.from_numpy(np.stack([4 * x, 4 * y, texture]).astype(np.uint8))
    return image.expand(count, 3, SIDE, SIDE).contiguous(memory_format=torch.channels_last)


def augmented(count: int = COUNT, seed: int = 0, images=None, **choices) -> torch.Tensor:
    images = probe(count) if images is None else images
    before = images.clone()
    found = augment(images, recipe(**choices), np.random.default_rng(seed))
    assert torch.equal(images, before)
    return found


def sources(
    found: torch.Tensor, half: int = 10, error: float = 1e-3
) -> tuple[np.ndarray, np.ndarray]:
    """The affine maps (N, 2, 2) and (N, 2) from places of a result to places of its image, in
    pixels from the centre, as the central pixels tell."""
    part = slice(SIDE // 2 - half, SIDE // 2 + half)
    y, x = np.mgrid[part, part] - (SIDE - 1) / 2
    places = np.stack([x.ravel(), y.ravel(), np.ones(x.size)], axis=1)
    came_from = found[:, :2, part, part].double().flatten(2).numpy() / 4 - (SIDE - 1) / 2
    fitted = np.stack([np.linalg.lstsq(places, c.T, rcond=None)[0].T for c in came_from])
    assert np.abs(places @ fitted.transpose(0, 2, 1) - came_from.transpose(0, 2, 1)).max() < error
    return fitted[:, :, :2], fitted[:, :, 2]


def test_nothing_happens_unasked():
    images = probe(4)
    assert torch.equal(augmented(4), images)
    assert augment(images, recipe(), np.random.default_rng(0)) is images  # not even copied
    assert not recipe().augments


@pytest.mark.parametrize("option", [*EVERYTHING, "all"])
def test_each_image_has_draws_of_its_own_that_a_seed_repeats(option):
    choices = EVERYTHING if option == "all" else {option: EVERYTHING[option]}
    found = augmented(32, **choices)
    own = {image.numpy().tobytes() for image in found}
    assert len(own) == 2 if "flip" in option else len(own) > 25
    assert torch.equal(found, augmented(32, **choices))
    assert not torch.equal(found, augmented(32, seed=1, **choices))
    copied = option in ("horizontal_flip", "vertical_flip", "translation")
    assert found.dtype == (torch.uint8 if copied else torch.float32)
    assert found.min() >= 0
    assert found.max() <= 255


def test_flips_mirror_half_of_the_images_exactly():
    image = probe(1)[0]
    across, down = V.hflip(image), V.vflip(image)
    cases = (
        ((True, False), [image, across]),
        ((False, True), [image, down]),
        ((True, True), [image, across, down, V.vflip(across)]),
    )
    for (horizontal, vertical), forms in cases:
        found = augmented(horizontal_flip=horizontal, vertical_flip=vertical)
        counts = [sum(torch.equal(x, form) for x in found) for form in forms]
        assert sum(counts) == COUNT
        fair = COUNT / len(forms)
        assert all(abs(count - fair) < 3.5 * fair**0.5 for count in counts)


def test_translation_copies_whole_pixels_and_mirrors_beyond_the_edge():
    image = probe(1)[0]
    padded = np.pad(image.numpy(), ((0, 0), (9, 9), (9, 9)), mode="symmetric")
    found = augmented(translation=9)
    right = 32 - found[:, 0, 32, 32].int().numpy() // 4
    down = 32 - found[:, 1, 32, 32].int().numpy() // 4
    for shifts in (right, down):
        assert set(shifts) == set(range(-9, 10))
    assert abs(np.corrcoef(right, down)[0, 1]) < 0.25
    for shifted, dx, dy in zip(found, right, down, strict=True):
        expected = padded[:, 9 - dy : 9 - dy + SIDE, 9 - dx : 9 - dx + SIDE]
        assert np.array_equal(shifted.numpy(), expected)
    inner = slice(9, -9)
    other = V.affine(image, 0, [int(right[0]), int(down[0])], 1.0, [0.0, 0.0])
    assert torch.equal(found[0][:, inner, inner], other[:, inner, inner])


def test_flips_and_shifts_are_the_same_whether_copied_or_resampled():
    choices = {"horizontal_flip": True, "vertical_flip": True, "translation": 9}
    copied = augmented(32, **choices).float()
    resampled = augmented(32, **choices, rotation=1e-9)
    assert (copied - resampled).abs().max() < 0.05


def test_rotation_is_that_of_torchvision():
    found = augmented(rotation=30)
    matrices, offsets = sources(found)
    angles = np.degrees(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]))
    assert np.abs(offsets).max() < 1e-3
    assert -30 <= angles.min() < -28 < 28 < angles.max() <= 30
    assert abs(angles.mean()) < 4
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    disc = torch.from_numpy(x**2 + y**2 < 30**2)
    image = probe(1)[0].float()
    for turned, angle in zip(found[:20], angles, strict=False):
        expected = V.rotate(image, float(angle), BILINEAR)
        assert (turned - expected)[:, disc].abs().max() < 0.1


def test_scale_is_that_of_torchvision_and_stays_sharp():
    found = augmented(scale=0.3)
    matrices, offsets = sources(found)
    sizes = 1 / matrices[:, 0, 0]
    assert np.abs(matrices - np.eye(2) / sizes[:, None, None]).max() < 1e-4
    assert np.abs(offsets).max() < 1e-3
    assert 0.7 <= sizes.min() < 0.72
    assert 1.28 < sizes.max() <= 1.3
    inner = slice(12, -12)  # at size 0.7 the image fills the pixels from 9.6 on
    image = probe(1)[0].float()
    for scaled, size in zip(found[:20], sizes, strict=False):
        expected = V.affine(image, 0, [0, 0], float(size), [0.0, 0.0], BILINEAR)
        assert (scaled - expected)[:, inner, inner].abs().max() < 0.1


def test_small_sizes_do_not_alias():
    """Stripes of 2 pixels: shown smaller than at 2/3 they can only turn grey."""
    images = probe().contiguous()
    images[:, 2] = 255 * (torch.arange(SIDE) % 2)
    matrices, _ = sources(augmented(images=images, scale=0.9), half=2, error=0.2)
    sizes = 1 / matrices[:, 0, 0]
    assert sizes.min() < 0.15
    contrast = augmented(images=images, scale=0.9)[:, 2].std((1, 2)).numpy()
    assert contrast[sizes < 0.4].max() < 13  # a tenth of the stripes' own 127.5
    assert contrast[sizes > 1].min() > 60


def test_crops_are_those_of_pillow():
    found = augmented(crop=0.3)
    matrices, offsets = sources(found)
    width, height = matrices[:, 0, 0], matrices[:, 1, 1]
    assert np.abs(matrices[:, [0, 1], [1, 0]]).max() < 1e-4
    areas, aspects = width * height, width / height
    assert 0.3 <= areas.min() < 0.32
    assert 0.98 < areas.max() <= 1
    assert areas.mean() == pytest.approx(0.65, abs=0.05)
    assert 0.75 - 1e-4 <= aspects.min() < 0.77
    assert 1.3 < aspects.max() <= 4 / 3 + 1e-4
    assert abs(np.log(aspects).mean()) < 0.05
    corners = offsets + SIDE / 2 - SIDE / 2 * np.stack([width, height], axis=1)
    ends = corners + SIDE * np.stack([width, height], axis=1)
    assert corners.min() > -1e-3
    assert ends.max() < SIDE + 1e-3
    places = (corners / (SIDE - ends + corners))[areas < 0.8]  # 0 at the left or top, 1 opposite
    assert places.min(0).max() < 0.05
    assert places.max(0).min() > 0.95
    texture = Image.fromarray(probe(1)[0, 2].numpy()).convert("F")
    for cropped, box in zip(found[:20], np.hstack([corners, ends]).clip(0, SIDE), strict=False):
        expected = texture.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=tuple(box))
        assert np.abs(cropped[2].numpy() - np.asarray(expected)).max() < 0.2


def test_all_geometry_is_one_resampling_mirrored_beyond_the_edge():
    """SciPy samples where the recovered maps point, in and outside of the image."""
    names = ("horizontal_flip", "vertical_flip", "translation", "scale", "crop", "rotation")
    found = augmented(64, **{name: EVERYTHING[name] for name in names})
    matrices, offsets = sources(found, half=8)
    assert {tuple(np.sign(np.diag(m))) for m in matrices} == {
        (a, b) for a in (-1, 1) for b in (-1, 1)
    }
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    texture = probe(1)[0, 2].double().numpy()
    outside = 0
    for changed, matrix, offset in zip(found, matrices, offsets, strict=True):
        places = np.einsum("ij,jhw->ihw", matrix, np.stack([x, y])) + offset[:, None, None]
        places += (SIDE - 1) / 2
        outside += ((places < -0.5) | (places > SIDE - 0.5)).any(0).sum()
        expected = map_coordinates(texture, places[::-1], order=1, mode="reflect")
        assert np.abs(changed[2].numpy() - expected).max() < 0.5
    assert outside > 1000


def test_elastic_bends_smoothly_and_no_further_than_asked():
    found = augmented(elastic=4)
    inner = slice(8, -8)
    y, x = np.mgrid[:SIDE, :SIDE]
    moved = found[:, :2].double().numpy() / 4 - np.stack([x, y])
    moved = moved[..., inner, inner]
    lengths = np.sqrt((moved**2).sum(1))
    peaks = lengths.max((1, 2))
    assert 3 < peaks.max() <= 4 + 1e-3
    assert peaks.min() < 0.5
    assert 0.5 < lengths.mean() < 1.5
    assert abs(moved.mean()) < 0.2
    steepest = np.abs(np.diff(moved, axis=3)).max((1, 2, 3))
    assert (steepest / peaks).max() < 0.25  # over 4 pixels or more: no noise, nothing folded
    large = moved[peaks > 1]
    centred = large - large.mean((2, 3), keepdims=True)
    assert centred.std((1, 2, 3)).min() > 0.15  # no mere shift
    texture = probe(1)[0, 2].double().numpy()
    places = moved[0] + np.stack([x, y])[:, inner, inner]
    expected = map_coordinates(texture, places[::-1], order=1, mode="reflect")
    assert np.abs(found[0, 2, inner, inner].numpy() - expected).max() < 0.5


def test_bends_count_in_pixels_of_the_result():
    """The same draws without bends tell where a pixel of a mirrored crop came from before."""
    choices = {"horizontal_flip": True, "crop": 0.3}
    straight = augmented(**choices)
    matrices, _ = sources(straight)
    inner = slice(8, -8)  # where no bend leads out of the image
    moved = (augmented(**choices, elastic=4) - straight)[:, :2, inner, inner].double().numpy() / 4
    bends = np.einsum("nij,njhw->nihw", np.linalg.inv(matrices), moved)
    peaks = np.sqrt((bends**2).sum(1)).max((1, 2))
    assert 3.5 < peaks.max() <= 4 + 1e-2


@pytest.mark.parametrize(
    ("option", "function"),
    [("brightness", V.adjust_brightness), ("contrast", V.adjust_contrast)],
)
def test_brightness_and_contrast_are_those_of_torchvision(option, function):
    found = augmented(**{option: 0.6})
    # Between two grey pixels of 100 and 120, a factor is a slope.
    image = probe(1)[0]
    rise = (found[:, 0, :, 30] - found[:, 0, :, 25]).median(1).values
    factors = (rise / 20).double().numpy()
    assert 0.4 <= factors.min() < 0.43
    assert 1.57 < factors.max() <= 1.6
    assert factors.mean() == pytest.approx(1, abs=0.1)
    for changed, factor in zip(found, factors, strict=True):
        expected = 255 * function(image.float() / 255, float(factor))
        assert (changed - expected).abs().max() < 0.01
    assert found.max() == 255


def test_the_center_of_the_cutout_lies_anywhere_in_the_image():
    """A square of 5 in an image of 16: the two pixels before its center, and the two after it."""
    even = torch.full((1000, 3, 16, 16), 100, dtype=torch.uint8)
    found = augment(even, recipe(cutout=0.3), np.random.default_rng(0)) != 100
    covered = found.any(1)
    assert torch.equal(covered, found.all(1))
    for axis in (1, 2):  # columns, and rows
        spans = {tuple(np.flatnonzero(line)[[0, -1]]) for line in covered.any(axis).numpy()}
        assert spans == {(max(center - 2, 0), min(center + 2, 15)) for center in range(16)}


def test_noise_is_half_black_and_half_white():
    even = torch.full((COUNT, 3, SIDE, SIDE), 100, dtype=torch.uint8)
    for noise in (0.1, 1.0):
        found = augmented(images=even, noise=noise)
        assert torch.equal(found, found[:, :1].expand_as(found))  # all channels of a pixel
        assert not torch.equal(found[0], found[1])
        for shade, share in ((0, noise / 2), (255, noise / 2), (100, 1 - noise)):
            # The deviation of a share of 819,200 pixels is at most .0006.
            assert (found == shade).double().mean() == pytest.approx(share, abs=0.002)


def test_light_changes_after_the_geometry_and_noise_before_the_cutout():
    """Of an even image each pixel is then black, white, the colour of the cutout, or one more."""
    even = torch.full((COUNT, 3, SIDE, SIDE), 100, dtype=torch.uint8)
    found = augmented(images=even, **EVERYTHING)
    shades = set()
    for image in found:
        noisy = (image == 0) | (image == 255)
        grey = (image - 255 * torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)).abs() < 1e-3
        rest = image[~(noisy | grey.all(0))]
        assert rest.max() - rest.min() < 0.01
        shades.add(round(float(rest[0])))
    assert min(shades) in (70, 71, 72)
    assert max(shades) in (128, 129, 130)
