"""JPEG files decoded by torchcodec, here on a CPU: the same images and errors as with Pillow."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torchcodec.decoders
from PIL import Image

from fiftyone_gradcam.images import decoders
from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.images.geometry import RESIZES, to_square
from fiftyone_gradcam.images.opening import DecodeOptions, ImageError
from fiftyone_gradcam.images.tensors import ToSquare
from fiftyone_gradcam.passes import engine, jpegs
from fiftyone_gradcam.passes.engine import run_pass
from fiftyone_gradcam.passes.sinks import Sink

SIZE = 32


class Squares(Sink):
    """Keeps what a network sees of each image."""

    def __init__(self):
        self.squares, self.frames = {}, {}

    def compute(self, seen):
        return {"pixels": seen.pixels.clone(), "frames": torch.from_numpy(seen.frames)}

    def take(self, positions, value):
        self.squares.update(zip(positions.tolist(), value["pixels"].numpy(), strict=True))
        self.frames.update(zip(positions.tolist(), value["frames"].tolist(), strict=True))


@pytest.fixture
def fed(monkeypatch):
    """The way of a GPU, on a CPU; the contents that torchcodec is given, batch by batch."""
    given, real = [], torchcodec.decoders.decode_jpeg

    def decode_jpeg(contents, device):
        given.append(list(contents))
        return real(contents, device=device)

    monkeypatch.setattr(engine, "runs_side_by_side", lambda _: False)
    monkeypatch.setattr(engine, "decodes_on", lambda _: True)
    monkeypatch.setattr(torchcodec.decoders, "decode_jpeg", decode_jpeg)
    return given


def smooth(seed: int, width: int, height: int) -> Image.Image:
    """A picture of soft shapes, in which a wrong pixel stands out."""
    values = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), np.uint8)
    return Image.fromarray(values).resize((width, height), Image.Resampling.BICUBIC)


ORDINARY = ("plain.jpg", "gray.jpg", "progressive.jpg")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files of every kind that is decoded in one way or the other, or cannot be decoded."""
    root = tmp_path_factory.mktemp("jpegs")
    image = smooth(0, 90, 60)
    image.save(root / "plain.jpg", quality=95)
    image.convert("L").save(root / "gray.jpg", quality=95)
    image.save(root / "progressive.jpg", quality=95, progressive=True)
    image.convert("CMYK").save(root / "cmyk.jpg", quality=95)
    content = (root / "cmyk.jpg").read_bytes()
    adobe = content.index(b"\xff\xee")
    rest = content[adobe + 2 + int.from_bytes(content[adobe + 2 : adobe + 4]) :]
    (root / "cmyk without a marker.jpg").write_bytes(content[:adobe] + rest)
    image.save(root / "rgb.jpg", quality=95, keep_rgb=True)  # not YCbCr, as Adobe's marker says
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(root / "turned.jpg", quality=95, exif=exif)
    image.save(root / "lossless.png")
    content = (root / "plain.jpg").read_bytes()
    (root / "cut.jpg").write_bytes(content[: len(content) // 2])
    (root / "padded.jpg").write_bytes(content + b"\0\0")
    (root / "text.jpg").write_bytes(b"no picture")
    (root / "empty.jpg").write_bytes(b"")
    names = sorted(path.name for path in root.iterdir())
    return [str(root / name) for name in [*names, "missing.jpg"]]


def test_weights_by_hand():
    """Two pixels from four: a triangle of four pixels around each center, cut at the border."""
    row = torch.tensor([0.0, 70, 140, 210]).to(torch.uint8).expand(3, 4, 4)
    # The first center is at 1: distances .5, .5, 1.5 of 2 give weights 3, 3, 1 of 7.
    assert ToSquare(2)(row)[0, :, 0].tolist() == [50, 160]
    assert ToSquare(2)(row)[:, 0, 0].tolist() == [50, 50]


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("size", [(57, 41), (20, 90), (64, 64), (500, 375), (9, 7)])
def test_tensors_are_resized_as_pillow_does(resize, size):
    image = smooth(sum(size), *size)
    right = to_square(image, SIZE, resize).astype(int)
    tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    found = ToSquare(SIZE, resize)(tensor)
    assert found.shape == (SIZE, SIZE, 3)
    assert np.abs(found.numpy().astype(int) - right).max() <= 2


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("keep_truncated", [False, True])
def test_images_and_errors_are_those_of_pillow(fed, files, resize, keep_truncated):
    passes = []
    for decoder in decoders.DECODERS:
        images = Images(
            files, SIZE, resize=resize, decode_options=DecodeOptions(keep_truncated=keep_truncated)
        )
        sink = Squares()
        run_pass(images, None, [sink], 4, decoder=decoder)
        passes.append((images, sink))
    (by_pillow, right), (by_torchcodec, found) = passes
    reasons = {i: error.reason for i, error in by_pillow.failures.items()}
    assert {i: error.reason for i, error in by_torchcodec.failures.items()} == reasons
    names = {Path(files[i]).name for i in reasons}
    lost = {"text.jpg", "empty.jpg", "missing.jpg"}
    assert names == (lost if keep_truncated else {*lost, "cut.jpg"})
    assert found.frames == right.frames
    assert list(found.squares) == list(right.squares)
    for position, square in right.squares.items():
        difference = np.abs(found.squares[position].astype(int) - square.astype(int))
        assert difference.max() <= 3, files[position]
    decoded = {content for batch in fed for content in batch}
    ordinary = [path for path in files if Path(path).name in ORDINARY]
    assert decoded == {Path(path).read_bytes() for path in ordinary}


def test_a_file_that_torchcodec_rejects_is_decoded_by_pillow(fed, files, monkeypatch):
    """The other files of its batch are still decoded by torchcodec."""
    ordinary = [path for path in files if Path(path).name in ORDINARY]
    contents = [Path(path).read_bytes() for path in ordinary]
    real = torchcodec.decoders.decode_jpeg

    def decode_jpeg(given, device):
        if contents[1] in given:
            raise RuntimeError("unsupported")
        return [255 - one for one in real(given, device=device)]

    monkeypatch.setattr(torchcodec.decoders, "decode_jpeg", decode_jpeg)
    found, right = Squares(), Squares()
    run_pass(Images(ordinary, SIZE), None, [found], 3, decoder="torchcodec")
    run_pass(Images(ordinary, SIZE), None, [right], 3)
    for position, inverted in enumerate((True, False, True)):
        expected = 255 - right.squares[position] if inverted else right.squares[position]
        difference = np.abs(found.squares[position].astype(int) - expected.astype(int))
        assert difference.max() <= 3


def test_memory_that_is_too_small_is_named(fed, files, monkeypatch):
    def decode_jpeg(contents, device):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torchcodec.decoders, "decode_jpeg", decode_jpeg)
    with pytest.raises(
        ValueError, match="enough memory for 4 images at once. Pass a smaller batch"
    ):
        run_pass(Images(files, SIZE), None, [Squares()], 4, decoder="torchcodec")


def test_a_cpu_decodes_with_pillow(files, monkeypatch):
    monkeypatch.setattr(torchcodec.decoders, "decode_jpeg", None)
    found = Squares()
    run_pass(Images(files, SIZE), None, [found], decoder="torchcodec")
    assert len(found.squares) == 9


def test_an_unknown_decoder_and_a_missing_package_are_named(files, monkeypatch):
    with pytest.raises(ValueError, match="one of pillow, torchcodec, not 'fast'"):
        run_pass(Images(files, SIZE), None, [], decoder="fast")
    monkeypatch.setattr(decoders, "has_torchcodec", lambda: False)
    with pytest.raises(ValueError, match="pip install torchcodec, or pass decoder='pillow'"):
        run_pass(Images(files, SIZE), None, [], decoder="torchcodec")
    run_pass(Images(files, SIZE), None, [])


def test_a_torchcodec_that_does_not_fit_is_named(fed, files, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", None)
    with pytest.raises(ValueError, match=r"torchcodec cannot be used with PyTorch .*0.17 or later"):
        run_pass(Images(files, SIZE), None, [Squares()], decoder="torchcodec")


def test_files_are_read_a_few_batches_ahead_and_known_failures_never(files):
    plain = next(path for path in files if path.endswith("plain.jpg"))
    images, taken = Images([plain] * 9, SIZE), []
    images.failures[1] = ImageError(plain, "known to be broken")

    def chunks():
        for position in range(9):
            taken.append(position)
            yield np.array([position])

    batches = jpegs.decoded_chunks(images, chunks(), torch.device("cpu"))
    found = []
    for count in (4, 5, 6):  # three batches ahead, besides the one that is decoded
        found.append(next(batches).positions.tolist())
        assert len(taken) == count
    batches.close()
    assert found == [[0], [], [2]]


@pytest.mark.parametrize(("turn", "kind"), [(1, bytes), (2, np.ndarray), (3, np.ndarray)])
def test_files_that_are_mirrored_or_turned_are_left_to_pillow(tmp_path, turn, kind):
    exif = Image.Exif()
    exif[0x0112] = turn
    smooth(0, 90, 60).save(tmp_path / "0.jpg", exif=exif)
    images = Images([str(tmp_path / "0.jpg")], SIZE)
    assert isinstance(jpegs._read(images, 0), kind)
    assert images.frames_of([0]).tolist() == [[90, 60]]
