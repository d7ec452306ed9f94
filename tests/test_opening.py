"""Opening of files: why one cannot be used, limits, and what is closed after an error."""

import os
import subprocess
import sys
import types

import numpy as np
import pytest
from PIL import Image

from fiftyone_gradcam.images import batches, formats, opening, png, processes
from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.images.decode import _essential, decode
from fiftyone_gradcam.images.opening import DEFAULT, DecodeOptions, ImageError, none_readable


def reason_of(path, options: DecodeOptions = DEFAULT) -> str:
    """Why a file is refused."""
    with pytest.raises(ImageError) as caught:
        decode(str(path), options=options)
    assert caught.value.path == str(path)
    return caught.value.reason


def test_a_program_is_not_run(tmp_path):
    path = tmp_path / "x.png"
    path.write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n0 0 moveto\n"
    )
    assert reason_of(path) == "PostScript, a program that is not run (convert it to PNG)"


def test_a_file_in_a_folder_that_may_not_be_read(tmp_path, monkeypatch):
    stat = os.stat

    def refuse(path, *args, **options):
        if str(path).endswith("x.png"):
            raise PermissionError(13, "Permission denied")
        return stat(path, *args, **options)

    monkeypatch.setattr(opening.os, "stat", refuse)
    assert reason_of(tmp_path / "x.png") == "permission denied"
    assert reason_of(tmp_path / "y.png") == "file not found"


def test_reasons_by_error():
    for error, reason in (
        (Image.UnidentifiedImageError("x"), "not an image"),
        (PermissionError("x"), "permission denied"),
        (IsADirectoryError("x"), "a folder, not a file"),
        (MemoryError(), "too large for the memory"),
        (OSError("image file is Truncated"), "truncated"),
        (OSError("x"), "corrupt"),
        (
            Image.DecompressionBombError(),
            "more than 178956970 pixels (raise max_pixels to allow it)",
        ),
    ):
        assert opening._reason(error, DEFAULT) == reason
    warning = Image.DecompressionBombWarning()
    own = DecodeOptions(max_pixels=7)
    assert opening._reason(warning, own) == "more than 7 pixels (raise max_pixels to allow it)"


def test_an_image_may_have_as_many_pixels_as_are_allowed(tmp_path):
    Image.new("L", (4, 3)).save(tmp_path / "x.png")
    assert decode(str(tmp_path / "x.png"), options=DecodeOptions(max_pixels=12)).width == 4
    refused = "more than 11 pixels (raise max_pixels to allow it)"
    assert reason_of(tmp_path / "x.png", DecodeOptions(max_pixels=11)) == refused
    assert decode(str(tmp_path / "x.png")).height == 3  # the limit is gone with the call
    for wrong in (0, -1, True, 1.5, "9"):
        with pytest.raises(
            ValueError, match="^max_pixels must be a whole number of at least 1, not"
        ):
            DecodeOptions(max_pixels=wrong)
    assert DecodeOptions(max_pixels=1).max_pixels == 1


def test_an_advice_for_moved_files_is_for_missing_files_only():
    advice = ". If they were moved, relocate(dataset, old, new) finds them at the new place"
    for reason, more in (("file not found", advice), ("broken link", advice), ("empty file", "")):
        said = f"None of 3 files can be read; the first is a.png ({reason}){more}"
        assert none_readable(3, ImageError("a.png", reason)) == said


class Partial:
    """An image whose loading fails: what `load` leaves to decode is in `tile`."""

    def __init__(self, *tile: str):
        self.tile = list(tile)

    def load(self) -> None:
        raise OSError("broken")


def test_a_truncated_file_is_used_only_if_its_decoding_began():
    image = Partial("part")
    opening._load_what_is_there(image)
    assert image.tile == []
    with pytest.raises(OSError, match="broken"):
        opening._load_what_is_there(Partial())


def test_a_png_file_is_closed_if_it_cannot_be_parsed(tmp_path, monkeypatch):
    Image.new("L", (2, 2)).save(tmp_path / "x.png")
    opened = []

    def fail(file, size):
        opened.append(file)
        raise KeyboardInterrupt

    monkeypatch.setattr(png, "_essential", fail)
    with pytest.raises(KeyboardInterrupt):
        png.EssentialChunks(str(tmp_path / "x.png"))
    assert opened[0].closed
    assert _essential(str(tmp_path / "gone.png")) is None


def test_heic_photos_need_their_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert formats.can_read_heif() is False
    called = []
    package = types.SimpleNamespace(register_heif_opener=lambda: called.append(1))
    monkeypatch.setitem(sys.modules, "pillow_heif", package)
    assert formats.can_read_heif() is True
    assert called == [1]
    assert formats.known_kind(str(tmp_path / "gone")) is None


def test_decoding_processes_end_if_one_of_them_cannot_start(monkeypatch):
    started, popen = [], subprocess.Popen

    def start(*args, **options):
        if started:
            raise OSError(11, "Resource temporarily unavailable")
        started.append((popen(*args, **options), options["pass_fds"][0]))
        return started[0][0]

    monkeypatch.setattr(processes.subprocess, "Popen", start)
    with pytest.raises(OSError, match="Resource temporarily unavailable"):
        processes.Decoders(2, 4, 8, "squash", DEFAULT)
    ((child, file),) = started
    assert child.returncode is not None
    assert (child.stdin.closed, child.stdout.closed) == (True, True)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(file)


def test_shared_memory_has_a_size_and_no_name(monkeypatch):
    for _ in range(2):
        file = processes._unnamed_file(10)
        state = os.fstat(file)
        assert (state.st_size, state.st_nlink) == (10, 0)
        os.close(file)
        monkeypatch.delattr(os, "memfd_create", raising=False)


def test_answers_of_a_process_keep_the_number_of_an_error():
    assert processes._answer(3, 4, None) == (3, 4)
    error = processes._answer(0, 0, ("a.png", "permission denied", 13))
    assert (error.path, error.reason, error.__cause__.errno) == ("a.png", "permission denied", 13)
    assert processes._answer(0, 0, ("a.png", "corrupt", None)).__cause__ is None


def test_an_error_of_decoding_reaches_the_reader(tmp_path, monkeypatch):
    Image.new("RGB", (4, 4)).save(tmp_path / "x.png")

    class Broken:
        pixels = np.zeros((4, 8, 8, 3), np.uint8)

        def decode(self, rows, paths):
            raise MemoryError("no room")

    remote = batches._Remote(Images([str(tmp_path / "x.png")] * 2, 8), Broken(), 2, 2)
    futures = [batches.Future(), batches.Future()]
    remote._decode([0, 1], np.arange(2), futures)
    assert [str(future.exception(0)) for future in futures] == ["no room"] * 2


def test_a_list_of_images_that_nobody_has_read(tmp_path):
    Image.new("RGB", (8, 4)).save(tmp_path / "x.png")
    images = Images([str(tmp_path / "x.png"), "gone.png"], 4, resize="crop")
    assert images.hidden_share() == 0.0
    assert images.workers == (os.cpu_count() or 1)
    assert list(images.chunks([])) == []
    assert [len(batch.positions) for batch in images.chunks([np.array([1]), np.array([0])])] == [
        0,
        1,
    ]
    assert images.hidden_share() == 1 - (7 / 8 * 4) ** 2 / (8 * 4)
    images = images.with_resize("letterbox")
    images.load(np.array([0]))
    assert images.hidden_share() == 0.0
    rest = Images(["gone.png"], 4, is_rest=True)
    assert list(rest.batches(1)) == []
    with pytest.raises(ValueError, match=r"^None of 1 files can be read; the first is gone\.png"):
        list(Images(["gone.png"], 4).batches(1))
