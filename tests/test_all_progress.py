"""What functions report of their progress, from its start to its end."""

import os
import shutil

import pytest
from made_runs import digits_with_two_runs

import fiftyone_gradcam as fg


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Twelve digits with two runs, predictions and heatmaps."""
    yield from digits_with_two_runs(tmp_path_factory.mktemp("progress") / "digits", "progress")


def imported(dataset, out, **progress) -> None:
    fg.import_folders(folder_of(dataset), "progress again", **progress).delete()


def relocated(dataset, out, **progress) -> None:
    shutil.copytree(folder_of(dataset), out)
    clone = dataset.clone()
    assert fg.relocate(clone, folder_of(dataset), out, **progress).moved == 12
    clone.delete()


def folder_of(dataset) -> str:
    return os.path.dirname(os.path.dirname(dataset.first().filepath))


EACH, FOURS = [(n, 12) for n in range(1, 13)], [(n, 12) for n in (4, 8, 12)]
CALLS = {
    "import_folders": (imported, EACH),
    "relocate": (relocated, EACH),
    "predict": (lambda dataset, out, **own: fg.predict(dataset, "first", **own), FOURS),
    "explanation_quality": (
        lambda dataset, out, **own: fg.explanation_quality(
            dataset, "first", "gradcam", steps=2, **own
        ),
        FOURS,
    ),
    "export_overlays": (
        lambda dataset, out, **own: fg.export_overlays(dataset, out, "gradcam", **own),
        EACH,
    ),
    "export_folders": (fg.export_folders, EACH),
    "report": (
        lambda dataset, out, **own: fg.report(dataset, f"{out}/report.html", **own),
        [(n, 4) for n in range(4)],
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_progress_is_the_number_of_images_or_steps_that_are_done(dataset, tmp_path, name):
    """Each is counted once. A report says which of four steps starts."""
    reported, (call, expected) = [], CALLS[name]
    call(dataset, str(tmp_path / "out"), progress=lambda *own: reported.append(own))
    assert [(done, total) for done, total, _ in reported] == expected
    assert all(isinstance(words, str) and words for *_, words in reported)
