"""How exactly a GPU computes in a pass."""

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
    """Refuse an unknown precision.

    Raises:
        ValueError: naming those there are
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}")


class _TF32:
    """Whether NVIDIA GPUs may multiply in TF32, which torch keeps for the whole process: passes
    that overlap share what the first of them set, and the last gives it back."""

    def __init__(self):
        self.lock, self.passes, self.before = threading.Lock(), 0, (False, False)

    @contextmanager
    def allowed(self, wanted: bool) -> Iterator[None]:
        """Set it for as long as the context lasts."""
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
    """Compute in a precision, on an NVIDIA GPU; other devices compute in float32, whatever is
    asked for.

    float32 keeps 24 bits of each number, TF32 11 bits of the numbers that are multiplied and 24 of
    their sums, bfloat16 8 bits. Against float32, labels are equal on at least 99.5% of photos whose
    margin is over .01, and maps correlate at .999.

    Args:
        precision: "tf32" (convolutions and matrix products in TF32), "float32", or "bfloat16" (the
            network up to its target tensor)
        device: of the pass

    Yields:
        whether networks are to run in bfloat16
    """
    check_precision(precision)
    if device.type != "cuda":
        yield False
        return
    with _tf32.allowed(precision != FLOAT32):
        yield precision == BFLOAT16
