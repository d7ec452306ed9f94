"""The layer at which a network is split: found by shapes, called, and read by the logits."""

import pytest
import torch
from test_module_checks import SIZE, raised
from torch import nn

from fiftyone_gradcam.model import finding
from fiftyone_gradcam.model.finding import Output, agree, find_layer, find_splitter, outputs_of
from fiftyone_gradcam.model.hooked import HookSplitter


class Emit(nn.Module):
    """Returns zeros of a shape."""

    def __init__(self, *shape: int):
        super().__init__()
        self.shape = shape

    def forward(self, x):
        return torch.zeros(self.shape)


@pytest.mark.parametrize(
    ("shapes", "found"),
    [
        ([(1, 4, 4, 4), (1, 5, 2, 2)], "1"),  # the last one
        ([(1, 5, 2, 2), (1, 6, 2, 3), (1, 6, 1, 1), (1, 6)], "0"),  # no map, or of one cell
        ([(1, 5, 2, 2), (1, 3, 3, 5)], "1"),  # the channels are last
        ([(1, 9, 7), (1, 5, 2, 2)], "1"),  # tokens before it
        ([(1, 5, 2, 2), (1, 3, 7)], "0"),  # fewer tokens than cells
        ([(1, 5, 2, 2), (1, 4, 7)], (4, 0)),
        ([(1, 5, 2, 2), (1, 5, 7), (1, 6, 7), (1, 2, 7)], (6, 2)),
        ([(1, 5, 3, 3), (1, 7, 2, 2), (1, 9, 1)], (9, 5)),
        ([(1, 5, 2, 3), (1, 9, 7)], None),
    ],
)
def test_the_last_map_is_found_by_shapes(shapes, found):
    module = nn.Sequential(*(Emit(*shape) for shape in shapes))
    if isinstance(found, str):
        assert find_layer(module, torch.ones(1), None) == found
        return
    message = raised(find_layer, module, torch.ones(1), None)
    if found is None:
        assert message.startswith(
            "No module of this network has a four-dimensional output with rows"
        )
        return
    tokens, before = found
    last = max(number for number, shape in enumerate(shapes) if len(shape) == 4)
    assert message == (
        f"This network processes {tokens} tokens after its last map, the output of '{last}'. Pass "
        f"tokens={before} (the number of tokens before the patches) to use the tokens, or "
        f"layer='{last}' to use that map"
    )


class Unread(nn.Module):
    """Its logits do not depend on `body`, or not in a way that gradients show."""

    def __init__(self, way: str):
        super().__init__()
        self.way, self.body, self.other = way, nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(3, 4, 3, 2, 1)
        self.unused = nn.Identity()

    def forward(self, x):
        seen = self.body(x)
        if self.way == "no gradients":
            with torch.no_grad():
                return seen.mean((2, 3)) * 1
        if self.way == "detached":
            return seen.detach().mean((2, 3))
        if "no trace" in self.way and float(x.sum()) == 1.5:  # cannot be traced
            return seen
        return self.other(x).mean((2, 3))


@pytest.mark.parametrize("way", ["detached", "another", "another, no trace"])
@pytest.mark.parametrize("is_trained", [True, False])
def test_a_layer_that_the_logits_do_not_depend_on_is_refused(way, is_trained):
    module = Unread(way).requires_grad_(is_trained)
    with pytest.raises(
        ValueError, match="^The logits do not depend on the output of layer 'body', or"
    ):
        find_splitter(module.eval(), torch.ones(2, 3, SIZE, SIZE), "body", None)


def test_a_layer_with_a_hook_must_be_called():
    images, module = torch.ones(2, 3, SIZE, SIZE), Unread("no gradients")
    splitter = HookSplitter("body")
    splitter.check(module)
    with pytest.raises(
        ValueError, match="^The logits do not depend on the output of layer 'body', or"
    ):
        splitter.at_once(module, images)
    splitter = HookSplitter("unused")
    splitter.check(module)
    splitter.check(module)
    assert len(module.unused._forward_hooks) == 1
    for call in (splitter.at_once, splitter.run, splitter.split):
        with pytest.raises(ValueError, match="does not call layer 'unused'. Name another layer$"):
            call(module, images)


class Tokens(nn.Module):
    """Seventeen tokens, of which only the class token, only the patches, or none are read."""

    def __init__(self, read: slice | None):
        super().__init__()
        self.read, self.first, self.last = read, nn.Linear(3, 4), nn.Linear(4, 3)
        self.aside = nn.Linear(4, 4)

    def forward(self, x):
        patches = nn.functional.avg_pool2d(x, 4).flatten(2).transpose(1, 2)
        tokens = self.first(torch.cat([patches[:, :1], patches], 1))
        self.aside(tokens)  # the logits do not depend on it
        chosen = tokens * 0 if self.read is None else tokens[:, self.read]
        return self.last(chosen.mean(1))


def test_tokens_must_influence_the_logits():
    images = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    assert find_layer(Tokens(slice(1, None)), images[:1], (1,)) == "first"
    for read in (slice(0, 1), None):
        assert raised(find_layer, Tokens(read), images[:1], (1,)) == (
            "The logits of this network do not depend on the patches of any layer. Name one with "
            "layer="
        )
    assert "matches tokens=(2,). Pass the number of tokens" in raised(
        find_layer, Tokens(None), images[:1], (2,)
    )


class Depends(nn.Module):
    """Its forward pass depends on the number of images, which a trace does not see."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Conv2d(3, 4, 3, 2, 1), nn.Linear(4, 3)
        self.scale = 1.0

    def forward(self, x):
        return self.head((self.body(x) * self.scale).mean((2, 3)))


def test_a_trace_that_differs_is_not_used(monkeypatch):
    module, images = Depends().eval(), torch.ones(2, 3, SIZE, SIZE)
    _, why = find_splitter(module, images, None, None)
    assert why == ""
    module.scale = 2.0  # the trace of before is kept
    splitter, why = find_splitter(module, images, None, None)
    assert why == "OtherLogitsError: its trace gives different values than its forward pass"
    assert isinstance(splitter, HookSplitter)
    assert (splitter.layer, splitter.tokens_last) == ("body", False)
    monkeypatch.setattr(finding, "trace_of", lambda module: 1 / 0)
    assert find_splitter(module, images, "body", None)[1] == "ZeroDivisionError: division by zero"


def test_tensors_agree_up_to_rounding():
    one = torch.tensor([1000.0, 1.0])
    assert agree(one + torch.tensor([1.0, 0.0]), one)  # a thousandth of the largest value
    assert not agree(one, one + torch.tensor([0.0, 1.1]))
    assert not agree(one, one[:1])
    assert not agree(one, one[None])
    assert agree(one * 0, one * 0)
    assert not agree(one * 0 + 1e-9, one * 0)


def test_outputs_of_submodules_by_their_last_call():
    class Loop(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.drop = nn.Linear(2, 2), nn.Linear(2, 2), nn.Dropout()
            self.pair = nn.ModuleList()

        def forward(self, x):
            return self.drop(self.a(self.b(self.a(x))))

    module, images = Loop().eval(), torch.ones(1, 2)
    logits, outputs = outputs_of(module, images)
    assert [one.name for one in outputs] == ["b", "a"]
    assert torch.equal(outputs[1].value, logits)
    (only,) = outputs_of(module, images, "b")[1]
    assert isinstance(only, Output)
    assert only.name == "b"
    assert not any(one._forward_hooks for one in module.modules())
