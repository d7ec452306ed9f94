"""The memory of a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def enough_memory(count: int) -> Iterator[None]:
    """Say what to do if a GPU does not have enough memory for a batch.

    Args:
        count: number of images in the batch

    Raises:
        ValueError: instead of torch's error
    """
    try:
        yield
    except torch.cuda.OutOfMemoryError:
        raise ValueError(
            f"The GPU does not have enough memory for {count} images at once. Pass a smaller "
            f"batch_size"
        ) from None
