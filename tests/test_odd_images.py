"""Odd files of Pillow's own tests: their pixels are those that other programs decode."""

import numpy as np
import pytest
from PIL import Image

from fiftyone_gradcam.folders.verify import facts_of
from fiftyone_gradcam.images.decode import DecodeOptions, decode

KEEP = DecodeOptions(keep_truncated=True)

# Width, height, and the mean colours of the quarters (upper left, upper right, lower left, lower
# right) as Chromium 142 draws them on white; of TIFF files, of an MPO file and of one with a colour
# profile (which is left alone) as ImageMagick 6.9 reads the first frame.
QUARTERS = {
    "12in16bit.tif": (100, 100, "000000 000000 000000 000000"),
    "16_bit_noise.tif": (32, 32, "010101 010101 010101 010101"),
    "16bit.cropped.tif": (64, 64, "020202 010101 020202 010101"),
    "decompression_bomb_extents.gif": (100, 100, "ff0000 ff0000 ff0000 ff0000"),
    "dispose_bgnd_rgba.gif": (100, 100, "cceaf7 ceebf7 ceebf7 d1ecf7"),
    "exif-dpi-zerodivision.jpg": (200, 200, "c3c3c3 4a4a4a 4e4e4e 161616"),
    "exif_typeerror.jpg": (800, 531, "aebbbf a2b0b2 978760 9b8c65"),
    "frozenpond.mpo": (640, 480, "534a41 6c6866 868482 6c6a69"),
    "hopper.bmp": (128, 128, "5e4951 6c759b 513936 4c495d"),
    "hopper.gif": (128, 128, "5e4951 6c759b 513936 4c4a5d"),
    "hopper.jpg": (128, 128, "5e4951 6c759b 513936 4c495d"),
    "hopper.webp": (128, 128, "5e4950 6b759b 523936 4c4a5d"),
    "hopper_16bit_qtables.jpg": (128, 128, "5f4952 6d759a 513a34 4c4a5c"),
    "hopper_bad_exif.jpg": (500, 500, "6b6b6b aaaaaa 5c5c5c 868686"),
    "hopper_gray.jpg": (128, 128, "505050 777777 404040 4c4c4c"),
    "hopper_gray_4bpp.tif": (128, 128, "505050 797979 404040 4d4d4d"),
    "i_trns.png": (64, 64, "181818 161616 2c2c2c 313131"),
    "icc_profile_big.jpg": (425, 250, "013387 043a90 5f93bd 81accd"),
    "invalid-exif.jpg": (200, 200, "c3c3c3 4a4a4a 4e4e4e 161616"),
    "iss634.apng": (245, 245, "4c795c 838c59 9d8e57 af905d"),
    "multipage.tiff": (10, 10, "008000 008000 008000 008000"),
    "orientation_rectangle.jpg": (1, 2, "fe0000 fe0000 fe0000 fe0000"),
    "p_16.png": (128, 128, "606060 606060 606060 606060"),
    "pil_sample_cmyk.jpg": (100, 100, "380709 240607 110505 0c0505"),
    "tiff_strip_cmyk_jpeg.tif": (100, 100, "380709 240607 110505 0c0505"),
}


@pytest.fixture
def odd(real):
    return real / "data" / "odd-images"


def pixels(path) -> np.ndarray:
    return np.asarray(decode(str(path)).image).astype(float)


@pytest.mark.parametrize("name", QUARTERS)
def test_pixels_are_those_of_other_programs(odd, name):
    width, height, colours = QUARTERS[name]
    found = decode(str(odd / name))
    assert (found.width, found.height) == found.image.size == (width, height)
    quarters = np.asarray(found.image.resize((2, 2), Image.Resampling.BOX)).reshape(4, 3)
    expected = [list(bytes.fromhex(colour)) for colour in colours.split()]
    assert np.abs(quarters - np.array(expected, float)).max() <= 2


@pytest.mark.parametrize("number", range(2, 9))
def test_orientations_are_all_upright(odd, number):
    upright = pixels(odd / "hopper.jpg")
    stored = np.asarray(Image.open(odd / f"hopper_orientation_{number}.jpg"), float)
    assert np.abs(stored - upright).mean() > 30  # as it lies in the file
    assert np.abs(pixels(odd / f"hopper_orientation_{number}.jpg") - upright).mean() < 6


def test_formats_of_one_picture_agree(odd):
    upright = pixels(odd / "hopper.bmp")
    for name, most in {
        "hopper.png": 0,
        "png_named.jpg": 0,
        "hopper.jpg": 3,
        "hopper.webp": 6,
        "hopper_orientation_6.webp": 6,
        "hopper.gif": 8,
    }.items():
        assert np.abs(pixels(odd / name) - upright).mean() <= most, name


def test_transparency_by_its_own_formula(odd):
    raw = np.asarray(Image.open(odd / "pil123rgba.png"), float)
    alpha = raw[..., 3:] / 255
    assert 0 < alpha.mean() < 1
    on_white = raw[..., :3] * alpha + 255 * (1 - alpha)
    assert np.abs(pixels(odd / "pil123rgba.png") - on_white).max() <= 1


def test_truncated_files_hold_what_other_programs_see(odd):
    cut = decode(str(odd / "truncated_jpeg.jpg"), options=KEEP)
    quarters = np.asarray(cut.image.resize((2, 2), Image.Resampling.BOX)).reshape(4, 3)
    expected = [[129, 129, 126], [126, 128, 126], [130, 128, 127], [129, 128, 127]]
    assert np.abs(quarters - np.array(expected, float)).max() <= 1
    cut = decode(str(odd / "truncated_image.png"), options=KEEP)
    pixels = np.asarray(cut.image)
    assert pixels.shape == (480, 640, 3)
    assert pixels[399].max() > 0
    assert pixels[400:].max() == 0
    halves = pixels[:240].reshape(240, 2, 320, 3).mean((0, 2))
    assert np.abs(halves - [[79, 118, 148], [124, 161, 194]]).max() <= 1


def test_dark_16_bit_files_are_reported(odd, tmp_path):
    assert "use 12 bits or fewer" in facts_of(str(odd / "12in16bit.tif")).note
    assert "use 12 bits or fewer" not in (facts_of(str(odd / "hopper_gray_4bpp.tif")).note or "")
    Image.fromarray(np.full((4, 4), 4095, np.uint16)).save(tmp_path / "12.png")
    Image.fromarray(np.full((4, 4), 5000, np.uint16)).save(tmp_path / "13.png")
    assert "use 12 bits or fewer" in facts_of(str(tmp_path / "12.png")).note
    assert facts_of(str(tmp_path / "13.png")).note is None
