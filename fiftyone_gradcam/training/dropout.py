"""Fast dropout on the CPU, where torch draws one random number per element.

Memory is reused from batch to batch: fresh memory of this size, which the operating system maps
page by page, takes longer than the arithmetic.
"""

from __future__ import annotations

import torch
from torch import nn

# The levels of a draw: 64 random bits give eight draws of 8 bits, or four of 16.
DRAWS = {1 << 8: torch.int8, 1 << 16: torch.int16}


class QuickDropout(nn.Dropout):
    """Dropout with short draws (Srivastava et al., JMLR 15, 2014).

    Rates that are multiples of 1/256, such as 0.5, are drawn with 8 bits. Others are rounded to a
    multiple of 1/65,536. The remaining elements are scaled by the rounded rate, which preserves the
    mean. On a GPU, and in eval mode, this is torch's dropout.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Drop elements of a tensor of any shape independently, in training mode."""
        few, many = DRAWS
        levels = few if float(self.p * few).is_integer() else many
        dropped = round(self.p * levels)
        if not self.training or not 0 < dropped < levels or x.device.type != "cpu":
            return super().forward(x)
        count = x.numel()
        per_number = 64 // (levels.bit_length() - 1)
        bits = self._memory("bits", -(-count // per_number), torch.int64).random_(-(2**63), None)
        draws = bits.view(DRAWS[levels])[:count]
        if x.requires_grad:  # the mask is kept for the backward pass
            kept = torch.empty(count, dtype=x.dtype)
        else:
            kept = self._memory("kept", count, x.dtype)
        torch.ge(draws, dropped - levels // 2, out=kept).mul_(levels / (levels - dropped))
        # Use the memory layout of x: a mask with another layout makes the product several times
        # slower.
        order = torch.empty_like(x, device="meta")
        return x * kept.as_strided(order.shape, order.stride())

    def _memory(self, name: str, count: int, dtype: torch.dtype) -> torch.Tensor:
        """Return an uninitialized tensor (count,) in memory that is reused."""
        own = self.__dict__.setdefault("_reused", {})
        if name not in own or own[name].dtype != dtype or len(own[name]) < count:
            own[name] = torch.empty(count, dtype=dtype)
        return own[name][:count]


def quicken_dropout(model: nn.Module) -> None:
    """Replace the dropout layers of a network with `QuickDropout`, in place."""
    for name, module in list(model.named_modules()):
        if type(module) is nn.Dropout:
            model.set_submodule(name, QuickDropout(module.p).train(module.training))
