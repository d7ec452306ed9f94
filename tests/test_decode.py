"""Decoding: expected pixels of each kind of file, and a reason for each that is none."""

import pickle

import numpy as np
import pytest
from PIL import Image, ImageFile

from fiftyone_gradcam.images.decode import DecodeOptions, ImageError, _to_8_bit, decode

KEEP = DecodeOptions(keep_truncated=True)


def pixels(path) -> np.ndarray:
    return np.asarray(decode(str(path)).image)


def test_exif_orientation_is_applied(tmp_path):
    image = Image.new("RGB", (4, 2), "red")
    image.paste("blue", (0, 0, 2, 2))  # the left half
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise for display: left becomes top
    image.save(tmp_path / "turned.png", exif=exif)
    decoded = decode(str(tmp_path / "turned.png"))
    assert (decoded.width, decoded.height) == decoded.image.size == (2, 4)
    assert np.asarray(decoded.image)[0, 0].tolist() == [0, 0, 255]
    assert np.asarray(decoded.image)[3, 0].tolist() == [255, 0, 0]


def test_16_bit_is_scaled_not_saturated(tmp_path):
    values = np.array([[0, 257, 32896, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    assert pixels(tmp_path / "deep.png")[0, :, 0].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0.0, 0.5, 1.0], [0, 128, 255]), ([0.0, 100.0, 255.0], [0, 100, 255])],
)
def test_float_is_scaled(tmp_path, values, expected):
    Image.fromarray(np.array([values], np.float32)).save(tmp_path / "float.tif")
    assert pixels(tmp_path / "float.tif")[0, :, 0].tolist() == expected


def test_transparency_is_composited_on_white(tmp_path):
    rgba = np.array([[[255, 0, 0, 0], [255, 0, 0, 255], [0, 0, 0, 128]]], np.uint8)
    Image.fromarray(rgba).save(tmp_path / "clear.png")
    hidden, red, half = pixels(tmp_path / "clear.png")[0].tolist()
    assert hidden == [255, 255, 255]
    assert red == [255, 0, 0]
    assert half == [127, 127, 127]


def test_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (2, 2), color) for color in ("lime", "red")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert pixels(tmp_path / "moving.gif")[0, 0].tolist() == [0, 255, 0]


def test_reduced_scale_stays_above_the_limit_and_reports_the_whole_size(tmp_path):
    Image.new("RGB", (1000, 600), "gray").save(tmp_path / "large.jpg")
    decoded = decode(str(tmp_path / "large.jpg"), at_least=224)
    assert decoded.image.size == (500, 300)
    assert (decoded.width, decoded.height) == (1000, 600)


def test_what_is_no_image_says_why(tmp_path):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "gone.jpg")
    Image.effect_noise((64, 64), 50).convert("RGB").save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:1500])
    for name, reason in {
        "empty.jpg": "empty file",
        "text.jpg": "not an image",
        "link.jpg": "broken link",
        "gone.jpg": "file not found",
        "cut.jpg": "truncated",
    }.items():
        with pytest.raises(ImageError, match=name) as caught:
            decode(str(tmp_path / name))
        assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("JPEG", "RGB"), ("PNG", "RGB"), ("PNG", "P"), ("GIF", "RGB"), ("BMP", "RGB"), ("TIFF", "L")],
)
def test_truncated_files_are_kept_as_pillow_itself_would(tmp_path, monkeypatch, kind, mode):
    image = Image.effect_noise((200, 150), 50).convert(mode)
    image.save(tmp_path / "whole", kind)
    content = (tmp_path / "whole").read_bytes()
    assert not decode(str(tmp_path / "whole"), options=KEEP).is_truncated
    path = tmp_path / "cut"
    path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(ImageError, match="truncated"):
        decode(str(path))
    kept = decode(str(path), options=KEEP)
    assert kept.is_truncated
    assert (kept.width, kept.height) == (200, 150)
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert np.array_equal(np.asarray(kept.image), pixels(path))
    monkeypatch.undo()
    same = (np.asarray(kept.image) == pixels(tmp_path / "whole")).all(2)
    assert same.mean() == pytest.approx(2 / 3, abs=0.05)
    path.write_bytes(content[: len(content) // 300])
    with pytest.raises(ImageError):  # nothing is to be seen
        decode(str(path), options=KEEP)


def test_a_file_cut_anywhere_is_kept(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (100, 120, 3), np.uint8)
    for kind in ("GIF", "PNG", "JPEG", "TIFF"):
        Image.fromarray(noise).save(tmp_path / "whole", kind)
        content = (tmp_path / "whole").read_bytes()
        path = tmp_path / "cut"
        half = len(content) // 2
        for length in range(half, half + 256):  # a block of a GIF file has 256 bytes
            path.write_bytes(content[:length])
            kept = decode(str(path), options=KEEP)
            assert kept.is_truncated, (kind, length)


def test_odd_files_are_decoded_or_refused_with_the_right_reason(real):
    refused = {
        "broken.png": "not an image",
        "broken_data_stream.png": "corrupt",
        "decompression_bomb.gif": "more than 178956970 pixels (raise max_pixels to allow it)",
        "text_named.jpg": "not an image",
        "truncated_image.png": "truncated",
        "truncated_jpeg.jpg": "truncated",
        "zero_bytes.jpg": "empty file",
    }
    found = {}
    for path in sorted((real / "data" / "odd-images").iterdir()):
        if path.name not in ("LICENSE", "SOURCE.md") and not path.name.startswith("crash-"):
            try:
                assert decode(str(path)).image.mode == "RGB"
            except ImageError as error:
                found[path.name] = error.reason
    assert found == refused


def test_all_orientations_show_the_same_picture(real):
    folder = real / "data" / "odd-images"
    upright = np.asarray(decode(str(folder / "hopper.jpg")).image, float)
    for orientation in range(2, 9):
        turned = np.asarray(decode(str(folder / f"hopper_orientation_{orientation}.jpg")).image)
        assert np.abs(turned - upright).mean() < 12, orientation


def test_an_error_travels_between_processes():
    error = pickle.loads(pickle.dumps(ImageError("a.jpg", "empty file")))
    assert type(error) is ImageError
    assert (str(error), error.path, error.reason) == ("a.jpg: empty file", "a.jpg", "empty file")


@pytest.mark.parametrize(
    ("values", "mode", "pixels"),
    [
        ([0, 257, 65535], "I", [0, 1, 255]),
        ([0, 32768, 65536], "I", [0, 128, 255]),  # more than 16 bits: from the least to the most
        ([-10, -5, 0], "I", [0, 128, 255]),
        ([0.0, 0.2, 1.0], "F", [0, 51, 255]),
        ([0.0, 0.2, 0.4], "F", [0, 51, 102]),
        ([-1.0, 0.0, 1.0], "F", [0, 128, 255]),
        ([0.0, 51.0, 255.0], "F", [0, 51, 255]),
        ([0.0, 51.0, 102.0], "F", [0, 51, 102]),
        ([0.0, 128.0, 256.0], "F", [0, 128, 255]),
        ([np.nan, 0.2, 1.0], "F", [0, 51, 255]),
        ([-7.0, -7.0, -7.0], "F", [0, 0, 0]),
    ],
)
def test_deep_images_become_8_bit_by_their_range(values, mode, pixels):
    assert _to_8_bit(np.array(values), mode).tolist() == pixels
