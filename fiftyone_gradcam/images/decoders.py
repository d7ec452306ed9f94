"""Which package decodes JPEG files."""

from __future__ import annotations

import importlib.util

PILLOW, TORCHCODEC = "pillow", "torchcodec"
DECODERS = (PILLOW, TORCHCODEC)


def check_decoder(decoder: str) -> None:
    """Check the name of a decoder, and that its package is installed.

    Raises:
        ValueError: if it is unknown or not installed; the message says what to do
    """
    if decoder not in DECODERS:
        raise ValueError(f"decoder must be one of {', '.join(DECODERS)}, not {decoder!r}")
    if decoder == TORCHCODEC and not has_torchcodec():
        raise ValueError(
            f"decoder={decoder!r} needs the package torchcodec, which is not installed. Run pip "
            f"install torchcodec, or pass decoder={PILLOW!r}"
        )


def has_torchcodec() -> bool:
    """Return whether torchcodec is installed."""
    return importlib.util.find_spec("torchcodec") is not None
