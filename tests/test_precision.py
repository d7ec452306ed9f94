"""Settings that all passes of a process share, without a GPU: precision, threads, its memory."""

import threading

import numpy as np
import pytest
import torch

from fiftyone_gradcam.explain.render import HeatmapOptions
from fiftyone_gradcam.passes.engine import _to_host
from fiftyone_gradcam.passes.heatmaps import Heatmaps
from fiftyone_gradcam.passes.memory import enough_memory
from fiftyone_gradcam.passes.precision import (
    BFLOAT16,
    FLOAT32,
    TF32,
    check_precision,
    computing,
)
from fiftyone_gradcam.passes.seen import Seen
from fiftyone_gradcam.passes.threads import keeping_num_threads

CPU, GPU = torch.device("cpu"), torch.device("cuda")  # no GPU is used


def allowed() -> tuple[bool, bool]:
    """Whether TF32 is allowed now: in products of matrices, and in convolutions."""
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


@pytest.fixture(params=[(False, True), (True, False)])
def before(request):
    """Two settings of a user."""
    original = allowed()
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = request.param
    yield request.param
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = original


@pytest.mark.parametrize(
    ("precision", "reduced", "in_tf32"),
    [(TF32, False, True), (FLOAT32, False, False), (BFLOAT16, True, True)],
)
def test_a_pass_on_a_gpu_has_its_precision_and_leaves_the_users(
    before, precision, reduced, in_tf32
):
    with computing(precision, GPU) as found:
        assert (found, allowed()) == (reduced, (in_tf32, in_tf32))
        with computing(precision, CPU) as on_cpu:
            assert (on_cpu, allowed()) == (False, (in_tf32, in_tf32))
    assert allowed() == before
    with pytest.raises(ZeroDivisionError), computing(precision, GPU):
        raise ZeroDivisionError
    assert allowed() == before


def test_passes_at_once_share_the_precision_of_the_first(before):
    first, second = computing(TF32, GPU), computing(FLOAT32, GPU)
    first.__enter__()
    second.__enter__()
    assert allowed() == (True, True)
    first.__exit__(None, None, None)
    assert allowed() == (True, True)  # the other goes on
    second.__exit__(None, None, None)
    assert allowed() == before
    with computing(FLOAT32, GPU):
        assert allowed() == (False, False)
    assert allowed() == before


def test_precisions_have_names():
    for precision in (TF32, FLOAT32, BFLOAT16):
        check_precision(precision)
    words = "^precision must be one of tf32, float32, bfloat16, not 'half'$"
    with pytest.raises(ValueError, match=words), computing("half", CPU):
        pass


def test_the_number_of_threads_is_that_before_the_first_of_several_passes():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        keeping_num_threads.__enter__()
        torch.set_num_threads(1)  # as workers of a pass do
        keeping_num_threads.__enter__()
        keeping_num_threads.__exit__(None, None, None)
        assert torch.get_num_threads() == 1
        keeping_num_threads.__exit__(None, None, None)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_too_little_memory_of_a_gpu_names_the_remedy():
    words = "^The GPU does not have enough memory for 64 images at once. Pass a smaller batch_size$"
    with pytest.raises(ValueError, match=words), enough_memory(64):
        raise torch.cuda.OutOfMemoryError
    with pytest.raises(RuntimeError, match="^other$"), enough_memory(64):
        raise RuntimeError("other")


def test_results_are_copied_whatever_they_are_in():
    one, two = torch.ones(2), torch.zeros(1)
    found = _to_host({"a": one, "b": [two, "text"], "c": (one, None)}, pinned=False)
    assert list(found) == ["a", "b", "c"]
    assert (found["a"] is one, found["b"][0] is two, found["b"][1]) == (True, True, "text")
    assert (found["c"][0] is one, found["c"][1]) == (True, None)


@pytest.mark.parametrize("scale", ["image", "run"])
def test_without_kinds_of_heatmaps_each_image_has_none(scale):
    added = []
    add = lambda positions, heatmaps: added.append((positions.tolist(), heatmaps))  # noqa: E731
    options = HeatmapOptions(scale=scale)
    sink = Heatmaps([], options, ("a",), np.zeros(5, int), "crop", None, add)
    found = sink.compute(None)
    positions = np.array([1, 3])
    sink.take(positions, sink.write(positions, np.ones((2, 2)), found))
    sink.finish()
    assert added == ([([1, 3], [[], []])] if scale == "image" else [])


def test_results_of_a_batch_are_computed_once_in_any_thread():
    class Counting:
        def __init__(self):
            self.calls = 0

        def normalize(self, pixels):
            self.calls += 1
            return pixels.float()

    network = Counting()
    frames = np.ones((1, 2), np.int64)
    seen = Seen(np.arange(1), frames, torch.ones(1, 3, 2, 2), network, False, False, False)
    first = seen.inputs
    threads = [threading.Thread(target=lambda: seen.inputs) for _ in range(2)]
    for thread in threads:
        thread.start()
        thread.join()
    assert (seen.inputs is first, network.calls) == (True, 1)
    assert Seen.inputs.__doc__ == "(n, 3, S, S) float32, normalized for the network."
