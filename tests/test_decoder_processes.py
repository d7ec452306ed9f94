"""Images decoded in processes are those decoded in threads, failures included."""

import gc
import os
import signal

import numpy as np
import pytest
from conftest import save_digits
from PIL import Image

from fiftyone_gradcam.images import processes
from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.images.decode import DecodeOptions, ImageError
from fiftyone_gradcam.images.unreachable import is_unreachable


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """24 oblong pictures; of four the files are none, gone, truncated, and too large."""
    root = save_digits(tmp_path_factory.mktemp("processes") / "digits", per_class=8, side=32)
    found = [str(path) for path in sorted(root.glob("*/*.png"))][:24]
    for number, path in enumerate(found):
        with Image.open(path) as image:
            image.convert("RGB").resize((40 + number, 50)).save(path)
    with open(found[3], "wb") as file:
        file.write(b"no picture")
    os.unlink(found[4])
    with open(found[5], "r+b") as file:
        file.truncate(os.path.getsize(found[5]) // 2)
    with Image.open(found[6]) as image:
        image.resize((300, 300)).save(found[6])
    return found


def read(paths, processes, **options):
    images = Images(paths, 16, resize="letterbox", decode_options=DecodeOptions(max_pixels=9000))
    chunks = [np.arange(i, min(i + 5, len(paths))) for i in range(0, len(paths), 5)]
    batches = list(images.chunks(chunks, processes))
    return (
        images,
        [batch.positions.tolist() for batch in batches],
        np.concatenate([batch.images.numpy() for batch in batches]),
        np.concatenate([batch.frames for batch in batches]),
    )


def test_processes_decode_what_threads_do(paths):
    (ours, *found), (theirs, *right) = read(paths, 2), read(paths, 0)
    assert found[0] == right[0]
    for one, other in zip(found[1:], right[1:], strict=True):
        np.testing.assert_array_equal(one, other)
    assert sorted(ours.failures) == sorted(theirs.failures) == [3, 4, 5, 6]
    for position, error in theirs.failures.items():
        same = ours.failures[position]
        assert (same.path, same.reason, is_unreachable(same)) == (
            error.path,
            error.reason,
            is_unreachable(error),
        )
    assert [is_unreachable(ours.failures[i]) for i in (3, 4, 5, 6)] == [False, True, False, False]


def test_a_process_answers_with_sizes_and_pixels(paths):
    options = DecodeOptions(max_pixels=9000)
    with processes.decoders(1, 4, 16, "letterbox", options) as found:
        answers = found.decode([3, 0, 2], [paths[i] for i in (0, 1, 3)])
        assert answers[:2] == [(40, 50), (41, 50)]
        assert isinstance(answers[2], ImageError)
        right = Images(paths, 16, resize="letterbox").load(np.arange(2)).images
        assert found.pixels.shape == (4, 16, 16, 3)
        np.testing.assert_array_equal(found.pixels[[3, 0]], right.permute(0, 2, 3, 1).numpy())


def test_a_process_that_is_killed_leaves_its_images_to_this_one(paths, monkeypatch):
    own = processes.Decoders.decode
    killed = []

    def decode(self, rows, names):
        if not killed:
            killed.append(self._all[0].pid)
            os.kill(killed[0], signal.SIGKILL)
            self._all[0].wait()
        return own(self, rows, names)

    monkeypatch.setattr(processes.Decoders, "decode", decode)
    _, positions, pixels, _ = read(paths, 1)
    assert killed
    monkeypatch.undo()
    _, right, same, _ = read(paths, 0)
    assert positions == right
    np.testing.assert_array_equal(pixels, same)


def shared_memory() -> int:
    """How many files of this process are the memory of decoding processes."""
    places = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
    return sum("gradcam-decoded" in os.readlink(x) for x in places if os.path.islink(x))


def test_processes_that_have_ended_leave_no_open_file(paths):
    gc.collect()
    before = shared_memory()
    with processes.decoders(2, 4, 16, "letterbox", DecodeOptions()) as found:
        found.decode([0], [paths[0]])
        assert shared_memory() > before
    del found
    gc.collect()
    assert shared_memory() == before


def test_files_that_were_tried_must_not_all_fail(paths):
    images = Images(paths, 16, decode_options=DecodeOptions(max_pixels=9000))
    images.load(np.arange(24))
    for fine in (None, [], [0, 3], np.array([3, 7])):
        images.check_readable(fine)
    with pytest.raises(ValueError, match="None of 2 files can be read"):
        images.check_readable(np.array([3, 4]))


def test_a_reader_that_stops_early_leaves_no_process(paths, monkeypatch):
    made = []
    own = processes.Decoders.close

    def close(self):
        made.extend(self._all)
        own(self)

    monkeypatch.setattr(processes.Decoders, "close", close)
    batches = Images(paths, 16).chunks([np.arange(8), np.arange(8, 16), np.arange(16, 24)], 2)
    next(batches)
    batches.close()
    assert len(made) == 2
    assert all(child.returncode is not None for child in made)


def test_kept_images_are_not_decoded_again(paths):
    images = Images(paths, 16, cache_bytes=1 << 20)
    (first,) = images.chunks([np.arange(24)], 2)
    images.paths = ["gone"] * 24
    (second,) = images.chunks([np.arange(24)], 2)
    np.testing.assert_array_equal(first.images.numpy(), second.images.numpy())
    assert len(first.positions) == 21  # less what is none, gone or truncated
