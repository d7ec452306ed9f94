"""JPEG files decoded by torchcodec, a batch at a time on an NVIDIA GPU.

torchcodec is optional. Pillow remains the reference: it decodes all other files, JPEG files with
anything unusual about them, and those that torchcodec rejects, so that every file that cannot be
decoded has the same error with both.
"""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import islice

import numpy as np
import torch

from ..images.batches import Batch, Images
from ..images.decode import orientation
from ..images.decoders import PILLOW, TORCHCODEC
from ..images.opening import END_OF_JPEG, ImageError, opened
from ..images.tensors import ToSquare
from .memory import enough_memory

AHEAD = 3  # batches that are read ahead
READERS = 16  # maximum number of threads that read files


def decodes_on(device: torch.device) -> bool:
    """Return whether torchcodec decodes on a device."""
    return device.type == "cuda"


def decoded_chunks(
    images: Images, chunks: Sequence[np.ndarray], device: torch.device
) -> Iterator[Batch]:
    """Yield a batch for each array of positions, like `Images.chunks`, with images on a device.

    Files are read a few batches ahead.

    Args:
        images: the image files; those that cannot be decoded are added to its `failures`
        chunks: positions of each batch
        device: where images are decoded and resized
    """
    pool = ThreadPoolExecutor(min(READERS, os.cpu_count() or 1), "gradcam-read")
    to_square = ToSquare(images.size, images.resize)

    def read(chunk: np.ndarray) -> tuple[np.ndarray, list[Future]]:
        chunk = np.array([i for i in chunk if i not in images.failures], np.int64)
        return chunk, [pool.submit(_read, images, position) for position in chunk]

    try:
        rest = iter(chunks)
        waiting = deque(read(chunk) for chunk in islice(rest, AHEAD))
        while waiting:
            chunk, files = waiting.popleft()
            waiting.extend(read(chunk) for chunk in islice(rest, 1))
            with enough_memory(len(chunk)):
                batch = _batch(images, chunk, files, device, to_square)
            yield batch
    finally:
        pool.shutdown(cancel_futures=True)


def _read(images: Images, position: int) -> bytes | np.ndarray:
    """Return the content of an ordinary JPEG file; of any other, its pixels as Pillow decodes it.

    Raises:
        ImageError: if the file cannot be decoded
    """
    path = images.paths[position]
    with suppress(OSError, ImageError):
        with open(path, "rb") as file:
            content = file.read()
        with opened(path, images.decode_options, io.BytesIO(content)) as image:
            # Decoders differ in truncated files, rotation, and colors other than YCbCr.
            if (
                image.format == "JPEG"
                and image.mode in ("RGB", "L")
                and image.info.get("adobe_transform", 1) == 1
                and orientation(image) in (None, 1)
                and content.endswith(END_OF_JPEG)
            ):
                images.set_frame(position, *image.size)
                return content
    return images.decode_now(position)


def _batch(
    images: Images,
    chunk: np.ndarray,
    files: list[Future],
    device: torch.device,
    to_square: ToSquare,
) -> Batch:
    found: dict[int, bytes | np.ndarray] = {}
    for position, file in zip(chunk.tolist(), files, strict=True):
        with _recording(images, position):
            found[position] = file.result()
    jpegs = [position for position, one in found.items() if isinstance(one, bytes)]
    decoded = dict(zip(jpegs, _decode([found[i] for i in jpegs], device), strict=True))
    squares: dict[int, torch.Tensor] = {}
    for position, one in found.items():
        image = decoded.get(position)
        if image is not None:
            squares[position] = to_square(image)
            continue
        with _recording(images, position):
            pixels = one if isinstance(one, np.ndarray) else images.decode_now(position)
            squares[position] = torch.from_numpy(pixels.copy()).to(device)
    kept = np.array(list(squares), np.int64)
    shape = (len(kept), images.size, images.size, 3)
    pixels = torch.empty(shape, dtype=torch.uint8, device=device)
    for row, square in zip(pixels, squares.values(), strict=True):
        row.copy_(square)
    return Batch(kept, pixels.permute(0, 3, 1, 2), images.frames_of(kept))


@contextmanager
def _recording(images: Images, position: int) -> Iterator[None]:
    """Record an image that cannot be decoded in `images.failures`."""
    try:
        yield
    except ImageError as error:
        images.failures[position] = error


def _decode(contents: list[bytes], device: torch.device) -> list[torch.Tensor | None]:
    """Decode JPEG files to (3, height, width) uint8 tensors; None where torchcodec cannot."""
    if not contents:
        return []
    try:
        return _decode_jpeg()(contents, device=device)
    except torch.cuda.OutOfMemoryError:
        raise
    except RuntimeError:  # it does not say which file
        if len(contents) == 1:
            return [None]
        return [one for content in contents for one in _decode([content], device)]


def _decode_jpeg() -> Callable:
    """Return torchcodec's function.

    Raises:
        ValueError: if this version of torchcodec does not have it, or does not fit PyTorch's
    """
    try:
        from torchcodec.decoders import decode_jpeg
    except Exception as error:  # an ImportError, OSError or RuntimeError
        raise ValueError(
            f"decoder={TORCHCODEC!r}: the installed torchcodec cannot be used with PyTorch "
            f"{torch.__version__} ({str(error).splitlines()[0]}). Install the version that "
            f"matches, 0.17 or later, or pass decoder={PILLOW!r}"
        ) from error
    return decode_jpeg
