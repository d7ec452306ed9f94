"""Batches: the right pixels at the right positions, whatever the order, cache and failures."""

import os

import numpy as np
import pytest
from PIL import Image

from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.images.decode import DecodeOptions
from fiftyone_gradcam.images.geometry import RESIZES, smallest_side, to_square


@pytest.fixture
def paths(tmp_path):
    """Ten images whose red value is ten times their number; number 4 is broken."""
    result = []
    for number in range(10):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (8 + number, 8), (10 * number, 0, 0)).save(path)
        result.append(str(path))
    (tmp_path / "4.png").write_bytes(b"no image")
    return result


@pytest.mark.parametrize("cached", [0, 3, 100])
def test_values_positions_and_frames(paths, cached):
    images = Images(paths, size=4, cache_bytes=cached * 3 * 4 * 4)
    order = [9, 4, 0, 5, 3]
    for _ in range(2):  # the second pass reads the cache
        batches = list(images.batches(2, order))
        assert [b.positions.tolist() for b in batches] == [[9], [0, 5], [3]]
        for batch in batches:
            assert batch.images.shape[1:] == (3, 4, 4)
            assert (batch.images[:, 0].numpy() == 10 * batch.positions[:, None, None]).all()
            assert batch.frames.tolist() == [[8 + p, 8] for p in batch.positions]
    assert list(images.failures) == [4]
    assert images.failures[4].path == paths[4]


def test_a_reader_that_stops_early_leaves_nothing_running(paths):
    import threading

    before = set(threading.enumerate())
    iterator = Images(paths, size=4).batches(1)
    next(iterator)
    iterator.close()
    for thread in threading.enumerate():
        if thread.name.startswith("decode"):
            thread.join(5)
    assert set(threading.enumerate()) <= before  # threads of other tests may have ended


def test_what_a_crop_sees_of_a_large_jpeg_is_not_enlarged(tmp_path):
    """Of 224 pixels a crop sees 196: at a scale of 1/8 only 24.5, which would make 28."""
    noise = np.random.default_rng(0).integers(0, 256, (56, 56, 3)).astype(np.uint8)
    image = Image.fromarray(noise).resize((224, 224), Image.Resampling.BILINEAR)
    image.save(tmp_path / "large.jpg", quality=95, subsampling=0)
    (batch,) = Images([str(tmp_path / "large.jpg")], size=28, resize="crop").batches(1)
    whole = to_square(Image.open(tmp_path / "large.jpg"), 28, "crop")
    found = batch.images[0].permute(1, 2, 0).numpy()
    assert np.abs(found.astype(int) - whole).mean() < 3
    assert [smallest_side(way, 224) for way in RESIZES] == [224, 256, 224]


def test_the_same_files_in_another_way_are_decoded_as_before(paths):
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(paths[4], "JPEG")
    os.truncate(paths[4], os.path.getsize(paths[4]) - 40)
    images = Images(paths, 4, 99, 1, decode_options=DecodeOptions(keep_truncated=True))
    other = images.with_resize("crop")
    assert (other.paths, other.size, other.resize, other.workers) == (paths, 4, "crop", 1)
    assert [b.positions.tolist() for b in other.batches(9, [4, 0])] == [[4, 0]]


def test_aspect_ratio_is_squashed_not_cropped(tmp_path):
    image = np.zeros((10, 40, 3), np.uint8)
    image[:, :20] = 200  # the left half
    Image.fromarray(image).save(tmp_path / "wide.png")
    (batch,) = Images([str(tmp_path / "wide.png")], size=8).batches(1)
    assert (batch.images[0, 0, :, :3] == 200).all()
    assert (batch.images[0, 0, :, 5:] == 0).all()


def test_threads_that_decode_the_same_image_keep_it_once(paths):
    images = Images(paths, size=4, cache_bytes=2 * 3 * 4 * 4)
    pixels = [np.full((4, 4, 3), value, np.uint8) for value in range(4)]
    for position, value in ((0, 0), (0, 1), (1, 2)):
        images._keep(position, pixels[value])
    images._used = 1  # as if this thread had looked before another took the last place
    images._keep(1, pixels[3])
    assert images._slots[:3].tolist() == [0, 1, -1]
    assert images._cache[:, 0, 0, 0].tolist() == [0, 2]
