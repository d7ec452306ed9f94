"""Numerical precision of passes on a GPU."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

Precision = str
FLOAT32, TF32, BFLOAT16 = "float32", "tf32", "bfloat16"
PRECISIONS = (TF32, FLOAT32, BFLOAT16)
DEFAULT = TF32


def check_precision(precision: Precision) -> None:
    """Check the name of a precision.

    Raises:
        ValueError: if it is unknown; the message lists all precisions
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}")


class _TF32:
    """Permission for NVIDIA GPUs to multiply in TF32, which torch stores per process.

    Overlapping passes share the setting of the first one, and the last one restores the original.
    """

    def __init__(self):
        self.lock, self.passes, self.before = threading.Lock(), 0, (False, False)

    @contextmanager
    def allowed(self, wanted: bool) -> Iterator[None]:
        """Allow or forbid TF32 within the context."""
        matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
        with self.lock:
            if not self.passes:
                self.before = matmul.allow_tf32, cudnn.allow_tf32
                matmul.allow_tf32 = cudnn.allow_tf32 = wanted
            self.passes += 1
        try:
            yield
        finally:
            with self.lock:
                self.passes -= 1
                if not self.passes:
                    matmul.allow_tf32, cudnn.allow_tf32 = self.before


_tf32 = _TF32()


@contextmanager
def computing(precision: Precision, device: torch.device) -> Iterator[bool]:
    """Compute with a given precision on an NVIDIA GPU; other devices always compute in float32.

    float32 has a 24-bit significand. TF32 multiplies numbers of 11 bits and sums them in 24 bits;
    bfloat16 has 8 bits. Compared to float32, labels are equal for at least 99.5% of photos whose
    margin is over .01, and maps have a correlation of .999.

    Args:
        precision: "tf32" (convolutions and matrix products in TF32), "float32", or "bfloat16" (the
            network up to its target tensor)
        device: the device of the pass

    Yields:
        whether networks should run in bfloat16
    """
    check_precision(precision)
    if device.type != "cuda":
        yield False
        return
    with _tf32.allowed(precision != FLOAT32):
        yield precision == BFLOAT16
