"""PNG files whose ancillary chunks are broken: the same pixels as without these chunks."""

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from fiftyone_gradcam.images.decode import DecodeOptions, ImageError, decode

KINDS = (
    *("iCCP", "eXIf", "tEXt", "zTXt", "iTXt", "pHYs", "tIME", "cHRM", "sRGB", "gAMA", "bKGD"),
    *("hIST", "sBIT", "sPLT", "acTL", "fcTL", "fdAT", "prVt"),
)


def chunk(kind: str, data: bytes, crc: int = 0) -> bytes:
    """A chunk; its checksum is right if `crc` is 0."""
    own = zlib.crc32(kind.encode() + data) ^ crc
    return struct.pack(">I", len(data)) + kind.encode() + data + struct.pack(">I", own)


def chunks(content: bytes) -> list[tuple[str, bytes]]:
    """The chunks of a PNG file, each whole."""
    found, place = [], 8
    while place < len(content):
        (length,) = struct.unpack(">I", content[place : place + 4])
        kind = content[place + 4 : place + 8].decode()
        found.append((kind, content[place : place + 12 + length]))
        place += 12 + length
    return found


def png(image: Image.Image, before: bytes = b"", after: bytes = b"", **options) -> bytes:
    """A PNG file with chunks before and after its pixels."""
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    parts = [file.getvalue()[:8]]
    for kind, whole in chunks(file.getvalue()):
        if kind == "IDAT" and before:
            parts.append(before)
            before = b""
        if kind == "IEND":
            parts.append(after)
        parts.append(whole)
    return b"".join(parts)


@pytest.fixture
def picture() -> Image.Image:
    draws = np.random.default_rng(0)
    return Image.fromarray(draws.integers(0, 256, (30, 40, 3), np.uint8))


def broken(kind: str) -> dict[str, bytes]:
    """A chunk in all ways in which one may be broken."""
    bomb = zlib.compress(bytes(4 << 20), 9)
    text = {"zTXt": b"key\0\0", "iCCP": b"name\0\0", "iTXt": b"key\0\1\0\0\0"}.get(kind, b"")
    return {
        "checksum": chunk(kind, b"key\0value and more", 1),
        "short": chunk(kind, b"\0\1"),
        "empty": chunk(kind, b""),
        "noise": chunk(kind, np.random.default_rng(1).bytes(100)),
        "method": chunk(kind, b"key\0\x07value"),
        "bomb": chunk(kind, text + bomb),
    }


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of broken animations
@pytest.mark.parametrize("kind", KINDS)
def test_broken_ancillary_chunks_are_passed_over(tmp_path, picture, kind):
    path = tmp_path / "a.png"
    for how, data in broken(kind).items():
        for place in ("before", "after"):
            path.write_bytes(png(picture, **{place: data}))
            found = decode(str(path))
            assert np.array_equal(np.asarray(found.image), np.asarray(picture)), (how, place)
            assert (found.width, found.height, found.format) == (40, 30, "PNG")
            assert not found.is_truncated


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "LA", "I;16"])
def test_other_modes_keep_their_palette_and_transparency(tmp_path, picture, mode):
    image = picture.convert(mode) if mode != "I;16" else Image.fromarray(
        np.random.default_rng(0).integers(0, 65536, (30, 40), np.uint16)
    )  # fmt: skip
    options = {"transparency": 3} if mode in ("L", "P") else {}
    (tmp_path / "whole.png").write_bytes(png(image, **options))
    (tmp_path / "broken.png").write_bytes(png(image, chunk("tEXt", b"a\0b", 1), **options))
    with pytest.raises(Image.UnidentifiedImageError):
        Image.open(tmp_path / "broken.png")
    whole, other = (decode(str(tmp_path / name)).image for name in ("whole.png", "broken.png"))
    assert np.array_equal(np.asarray(whole), np.asarray(other))


def test_orientation_is_kept_if_it_is_sound(tmp_path, picture):
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = np.rot90(np.asarray(picture), -1)
    text = chunk("tEXt", b"a\0b", 1)
    (tmp_path / "a.png").write_bytes(png(picture, text, exif=exif))
    found = decode(str(tmp_path / "a.png"))
    assert np.array_equal(np.asarray(found.image), turned)
    assert (found.width, found.height) == (30, 40)
    for data in (b"II*\0" + b"\xff" * 40, b"no exif"):  # sound as a chunk, not as EXIF data
        (tmp_path / "b.png").write_bytes(png(picture, text + chunk("eXIf", data)))
        assert np.array_equal(np.asarray(decode(str(tmp_path / "b.png")).image), picture)


def spoiled(content: bytes, kind: str, how: str) -> bytes:
    """A PNG file with one chunk left out, or its data spoiled."""
    parts = [content[:8]]
    for name, whole in chunks(content):
        if name == kind and how == "absent":
            continue
        if name == kind and how == "spoiled":
            parts.append(chunk(name, bytes(255 - x for x in whole[8:-4])))
        elif name == kind and how == "checksum":
            parts.append(whole[:-4] + bytes(255 - x for x in whole[-4:]))
        else:
            parts.append(whole)
    return b"".join(parts)


@pytest.mark.parametrize("text", [b"", chunk("tEXt", b"a\0b", 1)])
@pytest.mark.parametrize(
    ("kind", "how"),
    [("IHDR", "absent"), ("IHDR", "spoiled"), ("IHDR", "checksum"), ("IDAT", "absent"),
     ("IDAT", "spoiled"), ("PLTE", "checksum")],
)  # fmt: skip
def test_critical_chunks_are_not_passed_over(tmp_path, picture, kind, how, text):
    content = png(picture.convert("P"), text)
    (tmp_path / "a.png").write_bytes(spoiled(content, kind, how))
    with pytest.raises(ImageError, match=r"a\.png"):
        decode(str(tmp_path / "a.png"))


def test_truncated_files_are_still_truncated(tmp_path, picture):
    content = png(picture, chunk("tEXt", b"a\0b", 1))
    (tmp_path / "a.png").write_bytes(content[:2500])
    with pytest.raises(ImageError) as caught:
        decode(str(tmp_path / "a.png"))
    assert caught.value.reason == "truncated"
    kept = decode(str(tmp_path / "a.png"), options=DecodeOptions(keep_truncated=True))
    assert kept.is_truncated
    same = (np.asarray(kept.image) == np.asarray(picture)).all(2)
    assert same[:15].all()
    assert not np.asarray(kept.image)[29].any()
    (tmp_path / "b.png").write_bytes(png(picture, after=chunk("tEXt", bytes(9000)))[:-5000])
    assert np.array_equal(np.asarray(decode(str(tmp_path / "b.png")).image), picture)


def test_memory_and_time_do_not_grow_with_what_is_passed_over(tmp_path, picture):
    path = tmp_path / "a.png"
    path.write_bytes(png(picture, chunk("prVt", bytes(64 << 20), 1)))
    tracemalloc.start()
    try:
        with Image.open(path):  # what Pillow itself takes
            pass
    except Image.UnidentifiedImageError:
        pass
    pillows = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    ours = PngImagePlugin.PngImageFile(decode_source(path))
    ours.load()
    assert tracemalloc.get_traced_memory()[1] < 1 << 20 < pillows
    tracemalloc.stop()
    assert np.array_equal(np.asarray(ours), picture)
    file = io.BytesIO()
    picture.save(file, "PNG")
    data = b"".join(whole[8:-4] for kind, whole in chunks(file.getvalue()) if kind == "IDAT")
    many = b"".join(
        chunk("IDAT", data[i : i + 1]) + chunk("tEXt", b"", 1) for i in range(len(data))
    )
    path.write_bytes(file.getvalue()[:33] + many + chunk("IEND", b""))
    assert np.array_equal(np.asarray(decode(str(path)).image), picture)


def decode_source(path) -> io.BufferedReader:
    from fiftyone_gradcam.images.png import EssentialChunks

    return io.BufferedReader(EssentialChunks(str(path)))


def test_cases_of_the_wild(real):
    expected = None
    for name in ("png_bad_crc_text", "png_big_ztxt", "png_gama_short"):
        path = real / "cases" / f"{name}.png"
        found = decode(str(path))
        assert found.image.size == (200, 150)
        plain = b"\x89PNG\r\n\x1a\n" + b"".join(
            whole for kind, whole in chunks(path.read_bytes()) if kind[0].isupper()
        )
        expected = np.asarray(Image.open(io.BytesIO(plain)).convert("RGB"))
        assert np.array_equal(np.asarray(found.image), expected), name
    assert expected.std() > 10


@pytest.mark.parametrize(
    ("mode", "length", "is_transparent"),
    [("RGB", 6, True), ("RGB", 5, False), ("L", 2, True), ("L", 1, False)],
)
def test_a_transparent_color_that_is_too_short_is_none(
    tmp_path, picture, mode, length, is_transparent
):
    path = tmp_path / "a.png"
    image = picture.convert(mode)
    image.putpixel((0, 0), 0)
    path.write_bytes(png(image, before=chunk("tRNS", bytes(length))))
    found = np.asarray(decode(str(path)).image)[0, 0].tolist()
    assert found == ([255] * 3 if is_transparent else [0] * 3)
