"""Image files from anywhere: a picture, or an error that names the file and says why."""

from __future__ import annotations

import io
import random
import struct
import zlib

import numpy as np
import pytest
from judging import Input, judge_all, tree_of
from PIL import Image

from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.images.decode import decode
from fiftyone_gradcam.images.opening import DecodeOptions

FORMS = {
    "png": ("RGB", {}),
    "png gray 16": ("I;16", {"format": "PNG"}),
    "png palette": ("P", {"format": "PNG", "transparency": 3}),
    "png alpha": ("RGBA", {"format": "PNG", "dpi": (72, 72)}),
    "jpeg": ("RGB", {}),
    "jpeg progressive": ("RGB", {"format": "JPEG", "progressive": True, "quality": 90}),
    "jpeg cmyk": ("CMYK", {"format": "JPEG"}),
    "gif": ("P", {}),
    "gif animated": ("P", {"format": "GIF", "save_all": True}),
    "tiff": ("RGB", {}),
    "tiff lzw": ("RGB", {"format": "TIFF", "compression": "tiff_lzw"}),
    "tiff deflate": ("L", {"format": "TIFF", "compression": "tiff_adobe_deflate"}),
    "tiff jpeg": ("RGB", {"format": "TIFF", "compression": "jpeg"}),
    "tiff float": ("F", {"format": "TIFF"}),
    "webp": ("RGB", {}),
    "webp lossless": ("RGBA", {"format": "WEBP", "lossless": True}),
    "bmp": ("RGB", {}),
    "bmp palette": ("P", {"format": "BMP"}),
    "ico": ("RGBA", {}),
    "ppm": ("RGB", {}),
    "tga": ("RGB", {}),
    "pcx": ("P", {"format": "PCX"}),
}


def picture(form: str, source: random.Random) -> bytes:
    """A sound file of some format."""
    mode, options = FORMS[form]
    side = source.choice((1, 7, 40))
    pixels = np.random.default_rng(source.randrange(10**6)).integers(0, 255, (side, side + 1, 3))
    image = Image.fromarray(pixels.astype(np.uint8))
    if mode == "I;16":
        image = Image.fromarray((pixels[..., 0] * 257).astype(np.uint16))
    elif mode != "RGB":
        image = image.convert(mode)
    options = {"format": form.upper(), **options}
    if options.get("save_all"):
        options["append_images"] = [image.rotate(90 * i) for i in range(3)]
    if options["format"] in ("JPEG", "PNG", "WEBP") and source.random() < 0.5:
        exif = Image.Exif()
        exif[0x0112] = source.choice((0, 1, 3, 6, 8, 9, 65535))
        options["exif"] = exif
    file = io.BytesIO()
    image.save(file, **options)
    return file.getvalue()


def mutated(data: bytes, source: random.Random) -> bytes:
    """A file with some of its bytes changed, lost, doubled, or from another."""
    found = bytearray(data)
    for _ in range(source.choice((1, 1, 2, 5))):
        at = source.randrange(len(found)) if found else 0
        head = source.randrange(min(len(found), 64)) if found else 0
        way = source.randrange(8)
        if way == 0:
            found[head : head + 1] = source.randbytes(1)
        elif way == 1:
            found[at : at + 1] = source.randbytes(1)
        elif way == 2:
            del found[at:]
        elif way == 3:
            del found[at : at + source.randint(1, 30)]
        elif way == 4:
            found[at:at] = found[: source.randint(1, 60)]
        elif way == 5:
            value = source.choice((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 65535, 20000))
            found[head : head + 4] = struct.pack(source.choice("<>") + "I", value)
        elif way == 6:
            other = picture(source.choice(list(FORMS)), source)
            found[at:] = other[at:]
        else:
            found[head : head + 8] = source.randbytes(8)
    return bytes(found)


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes, depth: int = 1, kind: int = 0) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + chunk(b"IEND", b"")


def zeros(count: int) -> bytes:
    """Zeros without end, packed."""
    packer, found = zlib.compressobj(9), []
    for _ in range(count // (1 << 20)):
        found.append(packer.compress(bytes(1 << 20)))
    return b"".join(found) + packer.flush()


def bombs() -> dict[str, bytes]:
    """Small files that claim, or become, a lot."""
    dot = chunk(b"IDAT", zlib.compress(b"\0\0"))
    many = zeros(64 << 20)
    tiff = b"II*\0\x08\0\0\0\x03\0" + b"".join(
        struct.pack("<HHII", tag, 4, 1, value)
        for tag, value in ((256, 10**9), (257, 10**9), (273, 8))
    )
    circle = b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 256, 4, 1, 9) + struct.pack("<I", 8)
    return {
        "PNG of 4 billion columns": png(2**31 - 1, 2**31 - 1, dot),
        "PNG of 30,000 x 30,000": png(30_000, 30_000, chunk(b"IDAT", many)),
        "PNG of 9,000 x 9,000": png(9_000, 9_000, chunk(b"IDAT", many)),
        "PNG of one row without end": png(10**8, 1, chunk(b"IDAT", many)),
        "PNG of no columns": png(0, 5, dot),
        "PNG of more than it says": png(1, 1, chunk(b"IDAT", many)),
        "PNG of texts": png(1, 1, *[chunk(b"zTXt", b"a\0\0" + many)] * 20, dot),
        "PNG of one text": png(1, 1, chunk(b"iTXt", b"a\0\1\0\0\0" + many), dot),
        "PNG of a color profile": png(1, 1, chunk(b"iCCP", b"a\0\0" + many), dot),
        "PNG of 100,000 chunks": png(1, 1, *[chunk(b"tEXt", b"a\0b")] * 100_000, dot),
        "PNG of a chunk without end": png(1, 1) [:33] + b"\xff\xff\xff\xff" + b"tEXt" + b"x" * 100,
        "PNG of empty data": png(1, 1, *[chunk(b"IDAT", b"")] * 50_000),
        "PPM of billions": b"P6 1000000000 1000000000 255\n",
        "PPM of digits": b"P6 " + b"9" * 10**6,
        "PGM of comments": b"P5 " + b"# x\n" * 200_000,
        "BMP of billions": b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 2**31 - 1,
                                               -(2**31) + 1, 1, 24, 0, 0, 0, 0, 0, 0),
        "GIF of 65,535 x 65,535": b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff"
                                  b"\0\x08\x02\0\0\0;",
        "TIFF of billions": tiff,
        "TIFF that goes round": circle,
        "JPEG of 65,535 x 65,535": b"\xff\xd8\xff\xc0\0\x11\x08\xff\xff\xff\xff\x03"
                                   b"\x01\x11\0\x02\x11\0\x03\x11\0\xff\xd9",
        "JPEG of markers": b"\xff\xd8" + b"\xff" * 10**6,
        "WebP of 16,384 x 16,384": b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0/\xff\xff\xff\x0f" + bytes(8),
        "ICO of itself": b"\0\0\1\0\1\0\0\0\0\0\1\0 \0" + struct.pack("<II", 100, 6),
        "EPS with code": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
                         b"(executed) (w) file closefile showpage\n",
        "SVG with a file": b'<svg xmlns="http://www.w3.org/2000/svg">'
                           b'<image href="file:///etc/passwd"/></svg>',
        "FITS of billions": b"SIMPLE  =            T".ljust(80) + b"NAXIS = 2".ljust(80) * 40,
        "a web page": b"<!doctype html><script>1</script>",
        "one byte": b"\x89",
    }  # fmt: skip


def inputs(root, seed: int | str, count: int) -> list[Input]:
    source, found = random.Random(f"images {seed}"), []
    made = list(bombs().items()) if seed == 0 else []
    while len(made) < count:
        form = source.choice(list(FORMS))
        made.append((form, mutated(picture(form, source), source)))
    for number, (what, data) in enumerate(made):
        path = root / f"{number}.{source.choice(('png', 'jpg', 'tif', 'gif', 'bmp', 'webp'))}"
        path.write_bytes(data)
        options = DecodeOptions(source.random() < 0.4, source.choice((None, None, 10**8, 1000)))
        least = source.choice((None, None, 8, 224))
        calls = {
            f"decode({least}, {options})": lambda p=path, o=options, n=least: decode(str(p), n, o),
            "a batch": lambda p=path: list(Images([str(p)], 8).batches(1)),
        }
        how = source.choice([*calls, next(iter(calls))])
        is_batch = how == "a batch"
        verb, check = ("batches", check_batch) if is_batch else ("decode", check_decoded)
        found.append(Input(verb, "images", f"{what}, {how}", calls[how], (path.name,), check))
    return found


def check_decoded(found) -> None:
    """An upright RGB picture of the size that is said."""
    assert found.image.mode == "RGB"
    assert found.image.size[0] <= found.width
    assert found.image.size[1] <= found.height
    if found.format != "JPEG":  # which can be decoded at a smaller scale
        assert found.image.size == (found.width, found.height)
    assert found.image.size[0] * found.image.size[1] > 0
    assert found.num_channels in (1, 2, 3, 4)


def check_batch(batches) -> None:
    """One picture of the size that was asked for."""
    (batch,) = batches
    assert batch.images.shape == (1, 3, 8, 8)


def check(items: list[Input], root) -> None:
    before = tree_of(root)
    judge_all(items, [])
    assert tree_of(root) == before


def test_hostile_images_in_the_default_suite(tmp_path):
    check(inputs(tmp_path, "sample", 40), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_hostile_images(seed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check(inputs(tmp_path, seed, 150), tmp_path)
