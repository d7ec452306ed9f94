"""ROAD: removed pixels by hand, and the score of grad-cam, whose code is the authors'."""

import numpy as np
import pytest
import torch
from pytorch_grad_cam.metrics.road import NoisyLinearImputer, ROADCombined
from test_float64 import narrow

from fiftyone_gradcam.explain.faithfulness import faithfulness
from fiftyone_gradcam.explain.road import NOISE, imputed, road


def test_removed_pixels_by_hand():
    image = np.arange(9, dtype=np.float32).reshape(1, 3, 3) ** 2
    middle, corner = np.zeros((2, 3, 3), bool)
    middle[1, 1] = corner[0, 0] = True
    sides, diagonals = 1 + 9 + 25 + 49, 0 + 4 + 36 + 64
    assert imputed(image, middle)[0, 1, 1] == pytest.approx(sides / 6 + diagonals / 12)
    # In the corner three neighbors are left, of weights 1/6, 1/6 and 1/12.
    assert imputed(image, corner)[0, 0, 0] == pytest.approx((2 * 1 + 2 * 9 + 16) / 5)
    kept = ~(middle | corner)
    assert np.array_equal(imputed(image, middle | corner)[0][kept], image[0][kept])
    # Two in a row depend on each other: x = (3 + y) / 2 and y = (x + 6) / 2.
    strip = np.array([[[3.0, 0, 0, 6.0]]])
    found = imputed(strip, np.array([[False, True, True, False]]))
    assert found[0, 0] == pytest.approx([3, 4, 5, 6])


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("coarse", [False, True])
def test_removed_pixels_are_those_of_the_authors(share, coarse):
    random = np.random.default_rng(0)
    image = random.normal(size=(3, 30, 22)).astype(np.float32)
    heat = random.random((5, 4) if coarse else (30, 22))
    heat = np.kron(heat, np.ones((6, 6)))[:, :22] if coarse else heat
    removed = heat >= np.quantile(heat, 1 - share)
    theirs = NoisyLinearImputer(noise=0)(
        torch.from_numpy(image), torch.from_numpy(np.float32(~removed))
    )
    found = imputed(image, removed)
    assert found.dtype == np.float32
    assert np.abs(found - theirs.numpy()).max() < 1e-6
    noisy = imputed(image, removed, np.random.default_rng(1)) - found
    assert noisy[:, ~removed].max() == 0
    assert noisy[:, removed].std() == pytest.approx(NOISE, rel=0.2)


def test_the_score_is_that_of_grad_cam(monkeypatch):
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 5, stride=2), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(3),
        torch.nn.Flatten(), torch.nn.Linear(54, 4), torch.nn.Softmax(1),
    ).eval()  # fmt: skip
    network[4].weight.data *= 20
    image = torch.randn(3, 24, 25)
    cam = np.random.default_rng(0).random((24, 25), np.float32)
    monkeypatch.setattr(torch, "randn_like", torch.zeros_like)  # the noise of grad-cam
    theirs = ROADCombined()(image[None], cam[None], [lambda scores: scores[2]], network)[0]

    def probability(pixels):
        with torch.no_grad():
            return network(pixels)[:, 2]

    class Silent:
        standard_normal = staticmethod(np.zeros)

    found = faithfulness(image, cam, probability, 10, Silent()).road
    assert abs(theirs) > 0.005
    assert found == pytest.approx(theirs, abs=1e-6)
    noisy = [faithfulness(image, cam, probability, 10, np.random.default_rng(1)) for _ in "ab"]
    assert noisy[0] == noisy[1]
    assert noisy[0].road == pytest.approx(theirs, abs=0.02)


def test_a_map_of_the_evidence_scores_high_and_its_reverse_low():
    """The class's probability is the brightness of a square in the dark."""
    image = torch.zeros(3, 12, 12)
    image[:, 4:8, 4:8] = 1.0
    order = np.argsort(-image[0].numpy().ravel(), kind="stable")

    def probability(pixels):
        return pixels[:, :, 4:8, 4:8].mean((1, 2, 3))

    scores = [
        road(image, ordered, probability, 10, np.random.default_rng(0))
        for ordered in (order, order[::-1])
    ]
    assert scores[0] > 0.4
    assert scores[1] == pytest.approx(-scores[0], abs=0.02)


def test_it_makes_no_float64_on_a_device():
    image, random = torch.rand(3, 20, 20), np.random.default_rng(0)
    found = narrow(faithfulness)(image, np.eye(5), lambda x: x.mean((1, 2, 3)), 4, random)
    assert -0.5 <= found.road <= 0.5


@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_faithfulness_by_hand(scale):
    """The probability is the mean of an image of one color, a quarter of which is in the map."""
    image = torch.full((3, 8, 8), scale)
    cam = np.kron([[4.0, -9.0], [0.0, 0.0]], np.ones((4, 4)))
    found = faithfulness(image, cam, lambda x: x.mean((1, 2, 3)), steps=4)
    assert found.road is None
    # Removed step by step, the probability falls on a line; what is blurred stays the same.
    assert (found.deletion, found.insertion) == pytest.approx((scale / 2, scale))
    assert found.drop == pytest.approx(0.75, abs=1e-4)
    rising = faithfulness(image, cam, lambda x: 1 - x.mean((1, 2, 3)), steps=4)
    assert rising.drop == 0
