"""Quick dropout against what dropout is: known shares, known values, known gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fiftyone_gradcam.training.dropout import QuickDropout, quicken_dropout


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.75])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_each_cell_is_dropped_at_the_rate_or_scaled_up(rate, layout):
    torch.manual_seed(0)
    x = torch.rand(8, 64, 13, 15).add_(1).contiguous(memory_format=layout).requires_grad_()
    out = QuickDropout(rate)(x)
    dropped = out == 0
    assert torch.allclose(out[~dropped], (x / (1 - rate))[~dropped], rtol=1e-4)
    cells = x.numel()
    deviation = (rate * (1 - rate) / cells) ** 0.5
    assert abs(dropped.double().mean() - rate) < 4 * deviation
    # No neighbor in memory knows of the next: each of the draws of 64 bits is its own.
    kept = (~dropped).permute(0, 2, 3, 1) if layout is torch.channels_last else ~dropped
    line = kept.reshape(-1).double() - (1 - rate)
    for lag in (1, 2, 3, 4, 8):
        product = (line[:-lag] * line[lag:]).mean() / (rate * (1 - rate))
        assert abs(product) < 4 / cells**0.5
    for lane in range(8):
        share = 1 - kept.reshape(-1)[lane::8].double().mean()
        assert abs(share - rate) < 12 * deviation
    out.sum().backward()
    assert torch.equal(x.grad == 0, dropped)
    assert torch.allclose(x.grad[~dropped], torch.tensor(1 / (1 - rate)), rtol=1e-4)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_inputs_without_gradient_are_dropped_by_the_same_draws(layout):
    large = torch.rand(8, 64, 5, 3).add_(1).contiguous(memory_format=layout)
    layer, found = QuickDropout(0.25), []
    for x in (large, large[:3], large.double(), large):  # the memory of one call serves the next
        torch.manual_seed(2)
        found.append((layer(x), layer(x.clone().requires_grad_()).detach()))
        torch.manual_seed(2)
        again = QuickDropout(0.25)
        assert torch.equal(found[-1][0], again(x.clone().requires_grad_()))
        assert torch.equal(found[-1][1], again(x))
    assert torch.equal(found[0][0], found[3][0])  # and is not that of its result
    assert found[2][0].dtype == torch.float64


def test_a_seed_repeats_it_and_evaluation_changes_nothing():
    x = torch.rand(5, 7)
    layer = QuickDropout(0.5)
    torch.manual_seed(1)
    first, second = layer(x), layer(x)
    torch.manual_seed(1)
    assert torch.equal(layer(x), first)
    assert not torch.equal(second, first)
    assert torch.equal(layer.eval()(x), x)
    assert torch.equal(QuickDropout(0.0)(x), x)
    assert torch.equal(QuickDropout(1.0)(x), torch.zeros(5, 7))
    assert layer.train()(torch.empty(0, 7)).shape == (0, 7)
    sliced = torch.rand(6, 8)[:, ::2]
    assert set((layer(sliced) / sliced).unique().tolist()) == {0.0, 2.0}


def test_a_networks_dropout_is_replaced_and_its_weights_keep_their_names():
    inner = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.3, inplace=True)).eval()
    model = nn.Sequential(inner, nn.AlphaDropout(0.2), nn.Dropout(0.4))
    names, x = list(model.state_dict()), torch.rand(2, 3)
    before = model.eval()(x)
    model[0].eval(), model[2].train()
    quicken_dropout(model)
    assert [type(m) for m in (model[0][1], model[1], model[2])] == [
        QuickDropout,
        nn.AlphaDropout,
        QuickDropout,
    ]
    assert [(model[0][1].p, model[0][1].training), (model[2].p, model[2].training)] == [
        (0.3, False),
        (0.4, True),
    ]
    assert list(model.state_dict()) == names
    assert torch.equal(model.eval()(x), before)


@pytest.mark.parametrize(("rate", "bits"), [(0.5, 8), (1 / 256, 8), (0.1, 16)])
def test_each_cell_has_its_own_few_bits(rate, bits):
    x, levels = torch.ones(101), 1 << bits
    torch.manual_seed(3)
    numbers = torch.empty(-(-101 * bits // 64), dtype=torch.int64).random_(-(2**63), None)
    draws = numbers.view({8: torch.int8, 16: torch.int16}[bits])[:101].long() + levels // 2
    dropped = round(rate * levels)
    torch.manual_seed(3)
    expected = (draws >= dropped).float() * levels / (levels - dropped)
    assert torch.allclose(QuickDropout(rate)(x), expected)


def test_memory_is_reused_where_it_is_large_enough_and_no_gradient_needs_it():
    layer = QuickDropout(0.5)
    layer(torch.ones(16, requires_grad=True))
    assert list(layer._reused) == ["bits"]
    layer(torch.ones(16))
    before = layer._reused["kept"]
    for count in (16, 7):
        layer(torch.ones(count))
        assert layer._reused["kept"] is before
    layer(torch.ones(17))
    assert len(layer._reused["kept"]) == 17
    assert layer._memory("kept", 17, torch.float64).dtype == torch.float64
