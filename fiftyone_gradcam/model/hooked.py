"""Splitting of a network that cannot be traced, with a hook and autograd."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import nn

from .families import Head
from .nodes import Restore, Tokens, as_map
from .splitting import Splitter

_current = threading.local()  # what the hook does with the layer's output in this thread


@dataclass
class _Pass:
    """A forward pass that reads the layer's output, and replaces it with the target tensor.

    If the module is called more than once, as in a loop, its last output is used: each call
    detaches what came before it.

    Attributes:
        module: the layer
        splitter: the splitter of this pass
        with_gradient: whether gradients are needed after the layer
        replace_at, by: number of the call whose output is replaced, from 1, and the replacement
    """

    module: nn.Module
    splitter: HookSplitter
    with_gradient: bool = False
    replace_at: int = 0
    by: torch.Tensor | None = None
    calls: int = field(default=0, init=False)
    target: torch.Tensor | None = field(default=None, init=False)

    def __call__(self, output: object) -> torch.Tensor | None:
        self.calls += 1
        own = self.splitter
        target, restore = as_map(output, own.layer, own.tokens_last, own.tokens)
        self.target = target.detach()
        if self.by is not None:
            return self._replaced(restore)
        if not self.with_gradient:
            return None
        self.target.requires_grad_()
        torch.set_grad_enabled(True)  # until the caller's torch.no_grad() ends
        # A copy, because later layers may work in place, which is not allowed for a leaf of the
        # graph.
        return restore(self.target.clone())

    def _replaced(self, restore: Restore) -> torch.Tensor | None:
        if self.calls != self.replace_at:
            return None
        torch.set_grad_enabled(self.with_gradient)
        return restore(self.by.clone())


def _on_output(module: nn.Module, inputs: object, output: object) -> torch.Tensor | None:
    """The hook, which only has an effect during a pass of this thread."""
    current: _Pass | None = getattr(_current, "value", None)
    return current(output) if current is not None and current.module is module else None


@contextmanager
def _passing(one: _Pass) -> Iterator[_Pass]:
    before = getattr(_current, "value", None)
    _current.value = one
    try:
        yield one
    finally:
        _current.value = before


@dataclass(frozen=True)
class HookSplitter(Splitter):
    """Splits a network at a module with a hook: the graph starts at the output of the module.

    The hook stays on the module, so the network must be a private copy. Several threads may run it.
    """

    layer: str
    tokens_last: bool = False
    tokens: Tokens | None = None

    def check(self, module: nn.Module) -> None:
        """See `Splitter`."""
        layer = module.get_submodule(self.layer)
        if _on_output not in layer._forward_hooks.values():
            layer.register_forward_hook(_on_output)

    def split(self, module: nn.Module, inputs: torch.Tensor) -> tuple[torch.Tensor, Head]:
        """See `Splitter`; the head runs the whole module again."""
        layer = module.get_submodule(self.layer)
        with torch.no_grad(), _passing(_Pass(layer, self)) as one:
            module(inputs)
        calls = one.calls

        def head(target: torch.Tensor) -> torch.Tensor:
            wants_gradient = torch.is_grad_enabled()
            again = _Pass(layer, self, wants_gradient, calls, target)
            with torch.no_grad(), _passing(again):
                return module(inputs)

        return self._taken(one), head

    def run(self, module: nn.Module, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Splitter`."""
        layer = module.get_submodule(self.layer)
        with torch.no_grad(), _passing(_Pass(layer, self)) as one:
            logits = module(inputs)
        return self._taken(one), logits

    def at_once(self, module: nn.Module, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Splitter`.

        Raises:
            ValueError: if the logits do not depend on the layer
        """
        layer = module.get_submodule(self.layer)
        with torch.no_grad(), _passing(_Pass(layer, self, with_gradient=True)) as one:
            logits = module(inputs)
        leaf = self._taken(one)
        if not logits.requires_grad:
            raise ValueError(
                f"The logits do not depend on the output of layer {self.layer!r}, or the forward "
                f"pass disables gradients after it (torch.no_grad). Name another layer"
            )
        return leaf, logits

    def _taken(self, one: _Pass) -> torch.Tensor:
        if one.target is None:
            raise ValueError(
                f"The forward pass of the network does not call layer {self.layer!r}. Name another "
                f"layer"
            )
        return one.target
