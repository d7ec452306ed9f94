"""The device that a network runs on."""

from __future__ import annotations

import torch


def pick_device(device: str | None = None) -> torch.device:
    """Return the given device, or by default (None) a GPU if there is one, otherwise the CPU.

    Raises:
        ValueError: if torch does not know the device
    """
    if device:
        try:
            return torch.device(device)
        except (RuntimeError, TypeError):
            raise ValueError(
                f"device {device!r:.80} is unknown to torch. It can be 'cpu', 'cuda', 'cuda:1' "
                f"or 'mps'"
            ) from None
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")
