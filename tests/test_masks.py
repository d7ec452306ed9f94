"""Masks: how much is looked at, and that pixels decide."""

import os

import numpy as np
import pytest
from drawn_trees import gray_photo, mask, photo, same_photo, save
from PIL import Image

from fiftyone_gradcam.folders import appearance as looks
from fiftyone_gradcam.folders import masks
from fiftyone_gradcam.folders.appearance import is_mask, look
from fiftyone_gradcam.folders.files import find_files
from fiftyone_gradcam.folders.masks import APART, BESIDE, find_masks


def masks_in(root) -> masks.Masks:
    return find_masks(find_files(str(root)).files, str(root))


@pytest.fixture
def opened(monkeypatch):
    """Paths of the files that are decoded meanwhile."""
    found, decode = [], looks.decode
    monkeypatch.setattr(
        looks, "decode", lambda path, **given: found.append(path) or decode(path, **given)
    )
    return found


def test_nothing_is_opened_where_nothing_may_be_a_mask(tmp_path, opened):
    for name in ("a/1.jpg", "a/2.jpg", "b/1.jpg", "b/1_left.jpg"):
        photo(tmp_path / name)
    assert masks_in(tmp_path).images == {}
    assert opened == []


def test_few_files_of_many_are_opened_and_once_only(tmp_path, opened):
    for number in range(60):
        photo(tmp_path / f"{number % 20}/{number}.jpg")
        mask(tmp_path / f"{number % 20}/{number}.png")
    (first,) = {str(tmp_path / "0/0.jpg")}
    found = masks_in(tmp_path)
    assert found.reasons == {BESIDE: 60}
    assert set(found.images) == {str(path) for path in tmp_path.glob("*/*.png")}
    assert found.images[str(tmp_path / "0/0.png")] == first
    count = len(opened)
    assert count == 12 * 3 * 2  # folders that are looked into, their pairs, both files
    assert masks_in(tmp_path).reasons == {BESIDE: 60}
    assert len(opened) == count  # a form is drawn many times


def test_all_are_looked_at_where_folders_differ(tmp_path):
    for number in range(40):
        photo(tmp_path / f"{number}/{number}.jpg")
        (mask if number % 2 else same_photo)(tmp_path / f"{number}/{number}.png")
    found = masks_in(tmp_path)
    assert {os.path.basename(path) for path in found.images} == {
        f"{number}.png" for number in range(1, 40, 2)
    }


def test_a_file_that_changes_is_looked_at_again(tmp_path):
    photo(tmp_path / "a/1.jpg")
    photo(tmp_path / "a/1.png")
    assert masks_in(tmp_path).images == {}
    mask(tmp_path / "a/1.png")
    assert list(masks_in(tmp_path).images) == [str(tmp_path / "a/1.png")]


def test_what_cannot_be_read_is_no_mask_but_by_its_name(tmp_path):
    photo(tmp_path / "a/1.jpg")
    (tmp_path / "a/1.png").write_bytes(b"x")
    (tmp_path / "a/1_mask.png").write_bytes(b"x")
    assert list(masks_in(tmp_path).images) == [str(tmp_path / "a/1_mask.png")]


def test_a_mask_that_cannot_be_read_is_one_among_masks(tmp_path):
    for number in range(5):
        photo(tmp_path / f"a/{number}.jpg")
        mask(tmp_path / f"a/{number}.png")
    (tmp_path / "a/3.png").write_bytes((tmp_path / "a/3.png").read_bytes()[:60])
    assert masks_in(tmp_path).reasons == {BESIDE: 5}


def test_folders_of_masks_beside_unpaired_files(tmp_path):
    for name in ("images/1.jpg", "images/2.jpg", "Annotations/3.jpg"):
        photo(tmp_path / name)
    for name in ("GT/1.png", "GT/2.png", "GT/9.png"):
        mask(tmp_path / name)
    found = masks_in(tmp_path)
    assert found.reasons == {APART: 3}
    assert found.images == {
        str(tmp_path / "GT/1.png"): str(tmp_path / "images/1.jpg"),
        str(tmp_path / "GT/2.png"): str(tmp_path / "images/2.jpg"),
        str(tmp_path / "GT/9.png"): None,
    }
    assert found.example()[1] is not None


def test_the_nearest_image_is_that_of_a_mask(tmp_path):
    for name in ("x/Images/1.jpg", "y/Images/1.jpg"):
        photo(tmp_path / name)
        mask(tmp_path / name.replace("Images/1.jpg", "Masks/1.png"))
    assert masks_in(tmp_path).images == {
        str(tmp_path / f"{x}/Masks/1.png"): str(tmp_path / f"{x}/Images/1.jpg") for x in "xy"
    }


def test_masks_in_folders_of_their_own_are_paired_by_stem_and_folder(tmp_path):
    names = {
        "masks/x/1.png": "images/x/1.jpg",
        "masks/y/1.png": "images/y/1.jpg",  # the nearest of two
        "masks/2_mask.png": "images/x/2.jpg",
    }
    for own, image in names.items():
        photo(tmp_path / image)
        mask(tmp_path / own)
    found = masks_in(tmp_path)
    assert found.images == {str(tmp_path / a): str(tmp_path / b) for a, b in names.items()}
    assert found.reasons == {APART: 3}


def test_files_of_other_names_are_masks_if_folder_and_pixels_say_so(tmp_path):
    for number in range(3):
        photo(tmp_path / f"a/images/{number}.jpg")
        mask(tmp_path / f"b/masks/deep/m{number}.png")
        mask(tmp_path / f"c/annotations/n{number}.png")  # this name may mean a class
        photo(tmp_path / f"d/gt/p{number}.png")
    found = masks_in(tmp_path)
    assert found.images == {
        str(tmp_path / f"b/masks/deep/m{number}.png"): None for number in range(3)
    }
    assert found.example() == (str(tmp_path / "b/masks/deep/m0.png"), None)
    for path in tmp_path.glob("a/images/*"):
        mask(path)  # then all are drawings, and none of them is a mask
    assert masks_in(tmp_path).images == {}


def test_each_file_is_looked_at_where_files_of_a_folder_differ(tmp_path, monkeypatch):
    monkeypatch.setattr(masks, "MOST", 20)
    for number in range(26):
        photo(tmp_path / f"a/{number:02d}.jpg")
        (mask if number % 4 else same_photo)(tmp_path / f"a/{number:02d}.png")
        if not number % 4:
            same_photo(tmp_path / f"a/{number:02d}.jpg")
    found = {os.path.basename(path) for path in masks_in(tmp_path).images}
    # The first twenty are looked at, and the rest are what most of these are.
    assert found == {f"{number:02d}.png" for number in range(26) if number % 4 or number >= 20}


def test_a_mask_of_two_images_counts_once(tmp_path):
    same_photo(tmp_path / "1.jpg")
    same_photo(tmp_path / "1.bmp")
    mask(tmp_path / "1.png")
    for name in ("2.jpg", "2_mask.jpg"):  # called so, but a photo
        photo(tmp_path / name)
    found = masks_in(tmp_path)
    assert list(found.images) == [str(tmp_path / "1.png")]
    assert found.reasons == {BESIDE: 1}


def test_no_mask_is_the_image_of_another(tmp_path):
    """One image has two masks, of which one is called as the other images are."""
    for number in range(1, 24):
        photo(tmp_path / f"{number:02d}.bmp")
        mask(tmp_path / f"{number:02d}.png")
    photo(tmp_path / "00.jpg")
    mask(tmp_path / "00.bmp")
    mask(tmp_path / "00.png")
    own = {f"{number:02d}.png": f"{number:02d}.bmp" for number in range(1, 24)}
    found = masks_in(tmp_path)
    assert {os.path.basename(a): os.path.basename(b) for a, b in found.images.items()} == {
        **own,
        "00.bmp": "00.jpg",
        "00.png": "00.jpg",
    }


def test_what_is_seen_of_a_file(tmp_path):
    gray = np.full((40, 40), 128, np.uint8)
    gray[:, :20] = np.arange(100, 140)[:, None]
    save(Image.fromarray(gray), tmp_path / "gray.png")
    seen = look(str(tmp_path / "gray.png"))
    assert (seen.is_gray, seen.is_one_channel, seen.is_black_and_white) == (True, True, False)
    mask(tmp_path / "mask.jpg")
    seen = look(str(tmp_path / "mask.jpg"))
    assert (seen.is_gray, seen.is_black_and_white) == (True, True)
    photo(tmp_path / "photo.png")
    seen = look(str(tmp_path / "photo.png"))
    assert (seen.is_gray, seen.is_one_channel, seen.is_like_mask) == (False, False, False)
    assert look(str(tmp_path / "gone.png")) is None
    photo_path, mask_path = str(tmp_path / "photo.png"), str(tmp_path / "mask.jpg")
    assert is_mask(mask_path, photo_path)
    assert not is_mask(photo_path, mask_path)
    assert not is_mask(mask_path, mask_path)
    same_photo(tmp_path / "p.jpg")
    gray_photo(tmp_path / "p.png")
    assert not is_mask(str(tmp_path / "p.png"), str(tmp_path / "p.jpg"))


def test_real_photos_are_no_masks(real, tmp_path):
    """Photos of concrete are gray; their thresholds are masks, and their copies are not."""
    paths = sorted((real / "data" / "cracks" / "Positive").iterdir())[:12]
    for path in paths:
        with Image.open(path) as image:
            save(image.convert("RGB"), tmp_path / "copies" / f"{path.stem}.jpg")
            save(image.convert("RGB"), tmp_path / "copies" / f"{path.stem}.png")
            save(image.convert("RGB"), tmp_path / "masked" / f"{path.stem}.jpg")
            level = np.asarray(image.convert("L"))
            dark = level < np.percentile(level, 8)
            save(
                Image.fromarray(dark.astype(np.uint8) * 255),
                tmp_path / "masked" / f"{path.stem}.png",
            )
    found = masks_in(tmp_path)
    assert set(found.images) == {str(path) for path in (tmp_path / "masked").glob("*.png")}
