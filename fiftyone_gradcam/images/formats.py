"""Identify files that Pillow cannot read by their first bytes, and read HEIC files if possible."""

from __future__ import annotations

import re
import threading

from PIL import TiffImagePlugin, features

HEAD = 1024  # number of bytes that are read
HEIF = "a HEIC photo (install pillow-heif to read it)"
AVIF = (
    "a damaged AVIF image (download or export it again)"
    if features.check("avif")
    else "an AVIF image (upgrade Pillow to read it)"
)
RAW = "a RAW photo (convert it to JPEG or TIFF)"
VIDEO = "a video (extract its frames)"
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
SAMPLE_FORMATS = {2: "signed integers", 3: "floats", 5: "complex integers", 6: "complex floats"}
# Formats of ISO media files, which start with "ftyp", by the brand after it.
BRANDS = {
    **dict.fromkeys(b"heic heix heim heis hevc hevx hevm hevs mif1 msf1".split(), HEIF),
    **dict.fromkeys(b"avif avis".split(), AVIF),
    b"crx ": RAW,
}
SIGNATURES = (
    (rb".{128}DICM", "a DICOM file (convert it to PNG)"),
    (rb"(II\*\0.{4}CR|FUJIFILMCCD-RAW|IIU\0|IIRO|IIRS|MMOR|FOVb)", RAW),
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "a JPEG XL image (convert it to PNG or JPEG)"),
    (rb"%PDF-", "a PDF document (convert its pages to PNG)"),
    (rb"RIFF.{4}AVI |\x1aE\xdf\xa3|\0\0\x01[\xba\xb3]|FLV\x01", VIDEO),
    (rb"v/1\x01", "an OpenEXR image (convert it to PNG)"),
    (rb"version https://git-lfs", "a Git LFS pointer (call git lfs pull)"),
    (rb"PK\x03\x04|\x1f\x8b|7z\xbc\xaf|Rar!", "an archive (unpack it)"),
    (
        rb"(\xef\xbb\xbf)?\s*(<\?xml.*|<!--.*)?<(!DOCTYPE )?svg\b",
        "an SVG drawing (convert it to PNG)",
    ),
    (rb"(\xef\xbb\xbf)?\s*<(!doctype )?html\b", "a web page"),
)
_KNOWN = tuple((re.compile(s, re.DOTALL | re.IGNORECASE), what) for s, what in SIGNATURES)
_register = threading.Lock()


def known_kind(path: str) -> str | None:
    """Return the format of a file that is not an image, with a remedy; None if it is unknown."""
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD)
    except OSError:
        return None
    if head[4:8] == b"ftyp":
        return BRANDS.get(head[8:12], VIDEO)
    for pattern, what in _KNOWN:
        if pattern.match(head):
            return what
    return _tiff(path, head) if head[:4] in TIFF else None


def _tiff(path: str, head: bytes) -> str | None:
    """Describe the bands of a TIFF file, according to its first directory."""
    try:
        with open(path, "rb") as file:
            tags = TiffImagePlugin.ImageFileDirectory_v2(head[:16] if head[2] == 43 else head[:8])
            file.seek(tags.next)
            tags.load(file)
            bands = int(tags.get(277, 1))
            bits = max(tags.get(258, (1,)))
            kind = SAMPLE_FORMATS.get(max(tags.get(339, (1,))), "integers")
    except Exception:  # the file is also damaged
        return None
    return f"a TIFF file of {bands} bands of {bits}-bit {kind} (convert it to 8-bit RGB)"


def can_read_heif() -> bool:
    """Make Pillow read HEIC files if pillow-heif is installed; return whether it is."""
    try:
        import pillow_heif
    except ImportError:
        return False
    with _register:
        pillow_heif.register_heif_opener()
    return True
