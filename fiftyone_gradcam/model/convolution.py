"""A convolution that also applies the activation after it, which saves time on a CPU."""

from __future__ import annotations

from functools import cache

import torch
from torch import nn

# The names of activations in oneDNN, with their parameters.
_ACTIVATIONS: dict[type[nn.Module], tuple[str, list[float]]] = {
    nn.ReLU: ("relu", []),
    nn.ReLU6: ("hardtanh", [0.0, 6.0]),
    nn.SiLU: ("swish", []),
    nn.Hardswish: ("hardswish", []),
}


class FusedConv(nn.Conv2d):
    """A convolution and the activation after it.

    On a CPU, in float32 and where no gradient is needed, oneDNN applies both in one pass over the
    values; the result is the same up to rounding. PyTorch's compiler calls oneDNN in this way too.
    It also spares what PyTorch does for some convolutions of one thread: it copies all patches and
    multiplies matrices. Everywhere else, the convolution and the activation run as usual.

    Args:
        convolution: provides the weights, which are shared
        activation: one for which `is_fusible_activation` returns True; None for no activation
    """

    def __init__(self, convolution: nn.Conv2d, activation: nn.Module | None):
        nn.Module.__init__(self)
        self.__dict__.update(
            {name: x for name, x in convolution.__dict__.items() if not name.startswith("_")}
        )
        for name, parameter in convolution.named_parameters(recurse=False):
            self.register_parameter(name, parameter)
        if convolution.bias is None:
            self.register_parameter("bias", None)
        self._reversed_padding_repeated_twice = convolution._reversed_padding_repeated_twice
        self.activation = activation
        self._fused = ("none", []) if activation is None else _ACTIVATIONS[type(activation)]

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Apply the convolution and the activation to values (N, C, H, W)."""
        weight = self.weight  # a lookup by name each time
        if not _can_call_onednn(values, weight):
            found = super().forward(values)
            return found if self.activation is None else self.activation(found)
        return torch.ops.mkldnn._convolution_pointwise(
            values,
            weight,
            self.bias,
            self.padding,
            self.stride,
            self.dilation,
            self.groups,
            *self._fused,
            "",
        )


def _can_call_onednn(values: torch.Tensor, weight: torch.Tensor) -> bool:
    """Return whether oneDNN can be called, which knows neither gradients nor autocast."""
    needs_gradient = torch.is_grad_enabled() and (values.requires_grad or weight.requires_grad)
    return (
        not needs_gradient
        and values.is_cpu
        and values.dtype == weight.dtype == torch.float32
        and values.dim() == 4
        and not torch.is_autocast_enabled("cpu")
        and torch.backends.mkldnn.enabled
    )


def is_fusible_activation(module: nn.Module) -> bool:
    """Return whether a module is an activation that a convolution can apply."""
    return type(module) in _ACTIVATIONS


def is_fusible_convolution(module: nn.Module) -> bool:
    """Return whether a module is a convolution that `FusedConv` can replace."""
    return (
        type(module) is nn.Conv2d
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
        and not (module._forward_hooks or module._forward_pre_hooks)
    )


@cache
def is_fusing_available() -> bool:
    """Return whether this PyTorch has what `FusedConv` calls, and it computes what it should.

    It is not part of PyTorch's public interface, and only there if PyTorch was built with oneDNN.
    """
    if not torch.backends.mkldnn.is_available():
        return False
    random = torch.Generator().manual_seed(0)
    convolution = nn.Conv2d(4, 8, 3, 2, 1, groups=2)
    with torch.no_grad():
        for parameter in convolution.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=random))
        values = torch.randn((2, 4, 9, 9), generator=random)
        try:
            for kind in _ACTIVATIONS:
                found = FusedConv(convolution, kind())(values)
                if not torch.allclose(found, kind()(convolution(values)), atol=1e-5):
                    return False
        except Exception:  # another version of PyTorch takes other arguments
            return False
    return True
