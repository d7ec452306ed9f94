"""Files that are no images to Pillow: what they are is named; HEIC photos and large images."""

import re
import struct
import subprocess
import sys
import threading
import zlib

import numpy as np
import pytest
from conftest import REPOSITORY, absent
from PIL import Image

from fiftyone_gradcam.folders.verify import facts_of
from fiftyone_gradcam.images.decode import DecodeOptions, ImageError, decode


def tiff(bands: int, bits: int, kind: int) -> bytes:
    """A TIFF file of 2 x 2 pixels of any kind of sample."""
    data = bytes(4 * bands * bits // 8)
    tags = [
        (256, 3, [2]), (257, 3, [2]), (258, 3, [bits] * bands), (259, 3, [1]), (262, 3, [2]),
        (273, 4, [8]), (277, 3, [bands]), (278, 3, [2]), (279, 4, [len(data)]),
        (339, 3, [kind] * bands),
    ]  # fmt: skip
    start = 8 + len(data)
    more = start + 2 + 12 * len(tags) + 4
    entries, tail = b"", b""
    for tag, form, values in tags:
        packed = struct.pack("<" + {3: "H", 4: "I"}[form] * len(values), *values)
        if len(packed) > 4:
            tail_at = more + len(tail)
            tail += packed
            packed = struct.pack("<I", tail_at)
        entries += struct.pack("<HHI", tag, form, len(values)) + packed.ljust(4, b"\0")
    table = struct.pack("<H", len(tags)) + entries + bytes(4)
    return b"II*\0" + struct.pack("<I", start) + data + table + tail


KINDS = {
    "a.dcm": (bytes(128) + b"DICM" + bytes(50), "a DICOM file"),
    "a.cr2": (b"II*\0\x10\0\0\0CR\2\0" + bytes(40), "a RAW photo"),
    "a.cr3": (b"\0\0\0\x18ftypcrx " + bytes(40), "a RAW photo"),
    "a.raf": (b"FUJIFILMCCD-RAW 0201" + bytes(40), "a RAW photo"),
    "a.svg": (
        b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>',
        "an SVG drawing",
    ),
    "b.svg": (b"<svg width='3'/>", "an SVG drawing"),
    "a.png": (b"%PDF-1.7\n", "a PDF document"),
    "a.jpg": (b"<!DOCTYPE html><html>404</html>", "a web page"),
    "b.jpg": (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
    "a.jxl": (b"\xff\x0a" + bytes(40), "a JPEG XL image"),
    "b.jxl": (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40), "a JPEG XL image"),
    "c.jpg": (b"\0\0\0\x20ftypisom" + bytes(40), "a video"),
    "d.jpg": (b"RIFF\1\2\3\4AVI LIST" + bytes(40), "a video"),
    "e.jpg": (b"\x1aE\xdf\xa3" + bytes(40), "a video"),
    "f.jpg": (b"PK\3\4" + bytes(40), "an archive"),
    "four.tif": (tiff(4, 32, 3), "a TIFF file of 4 bands of 32-bit floats"),
    "six.tif": (tiff(6, 16, 1), "a TIFF file of 6 bands of 16-bit integers"),
    "a.avif": (b"\0\0\0\x1cftypavif" + bytes(40), "a damaged AVIF image"),  # Pillow reads AVIF
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", KINDS)
def test_what_is_no_image_is_named(tmp_path, name):
    content, what = KINDS[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError) as caught:
        decode(str(tmp_path / name))
    assert caught.value.reason.startswith(f"not an image: {what}")
    assert re.search(r"\(.+\)$|web page$", caught.value.reason)  # the remedy


def test_other_files_are_not_guessed_at(tmp_path):
    for number, content in enumerate((b"hello", b"\0" * 300, b"<p>html</p>", b"MM\0*", b"II*\0xx")):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(content)
        with pytest.raises(ImageError) as caught:
            decode(str(path))
        assert caught.value.reason == "not an image"


HEIC = """
import sys
sys.path.insert(0, {repository!r})
if {absent}:
    sys.modules["pillow_heif"] = None
from fiftyone_gradcam.images.decode import ImageError, decode
assert {absent} or "pillow_heif" not in sys.modules
try:
    found = decode({path!r})
    print(found.format, found.image.size, found.width, found.height, *found.image.getpixel((1, 1)))
except ImageError as error:
    print(error.reason)
"""


def test_heic_photos_are_read_where_the_package_for_them_is(tmp_path):
    try:
        import pillow_heif
    except ImportError:
        absent("the package pillow-heif")
    path = str(tmp_path / "a.heic")
    image = Image.new("RGB", (64, 48), (200, 30, 60))
    pillow_heif.from_pillow(image).save(path, quality=95)
    said = []
    for is_absent in (True, False):
        code = HEIC.format(repository=str(REPOSITORY), path=path, absent=is_absent)
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        said.append(done.stdout.strip())
    assert said[0] == "not an image: a HEIC photo (install pillow-heif to read it)"
    words = said[1].split()
    assert words[:5] == ["HEIF", "(64,", "48)", "64", "48"]
    assert np.abs(np.array(words[5:], int) - [200, 30, 60]).max() <= 6
    assert facts_of(path).mime_type == "image/heif"


def large_png(width: int, height: int) -> bytes:
    """A gray PNG file of many pixels, one bit each, in a few bytes."""
    row = zlib.compressobj(9)
    line = bytes(1 + width // 8)
    data = b"".join(row.compress(line) for _ in range(height)) + row.flush()
    parts = [b"\x89PNG\r\n\x1a\n"]
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    for kind, own in ((b"IHDR", header), (b"IDAT", data), (b"IEND", b"")):
        parts += [struct.pack(">I", len(own)), kind, own, struct.pack(">I", zlib.crc32(kind + own))]
    return b"".join(parts)


def test_large_images_are_decoded_if_that_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    sizes = {"png": "PNG", "jpg": "JPEG", "tif": "TIFF", "webp": "WEBP", "gif": "GIF", "bmp": "BMP"}
    for extension, kind in sizes.items():
        path = str(tmp_path / f"a.{extension}")
        Image.new("RGB", (80, 60), "gray").save(path, kind)
        with pytest.raises(ImageError) as caught:
            decode(path)
        assert caught.value.reason == "more than 2000 pixels (raise max_pixels to allow it)"
        with pytest.raises(ImageError, match=r"more than 4799 pixels \(raise max_pixels"):
            decode(path, options=DecodeOptions(max_pixels=4799))
        assert decode(path, options=DecodeOptions(max_pixels=4800)).image.size == (80, 60)
        with pytest.raises(Image.DecompressionBombError):
            Image.open(path).load()
    for wrong in (0, -1, True, 1.5, "many"):
        with pytest.raises(ValueError, match="max_pixels must be a whole number"):
            DecodeOptions(max_pixels=wrong)


def test_what_one_thread_allows_others_do_not(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    path = str(tmp_path / "a.png")
    Image.effect_noise((200, 150), 50).save(path)
    seen: dict[int, set] = {}

    def work(number: int) -> None:
        options = DecodeOptions(max_pixels=30_000 if number % 2 else None)
        for _ in range(100):
            try:
                seen.setdefault(number, set()).add(decode(path, options=options).image.size)
            except ImageError as error:
                seen.setdefault(number, set()).add(error.reason[:9])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {0: {"more than"}, 2: {"more than"}, 1: {(200, 150)}, 3: {(200, 150)}}


def test_a_scan_over_pillows_own_limit(tmp_path):
    path = tmp_path / "scan.png"
    path.write_bytes(large_png(16_000, 12_000))
    with pytest.raises(
        ImageError, match=r"more than 178956970 pixels \(raise max_pixels to allow it\)"
    ):
        decode(str(path))
    found = facts_of(str(path), DecodeOptions(max_pixels=192_000_000))
    assert (found.width, found.height) == (16_000, 12_000)


def test_sizes_of_turned_files_are_those_that_are_seen(tmp_path):
    for kind in ("TIFF", "JPEG", "PNG", "WEBP"):
        exif = Image.Exif()
        exif[0x0112] = 6
        path = tmp_path / f"a.{kind.lower()}"
        Image.new("RGB", (40, 20)).save(path, kind, exif=exif)
        found = decode(str(path), at_least=1)
        assert (found.width, found.height) == (20, 40), kind
        assert decode(str(path)).image.size == (20, 40), kind
