"""Every tile shows its image and its heatmap, however often the App is loaded."""

import fiftyone as fo
import numpy as np
import pytest
from conftest import save_digits
from made_runs import make_run
from tiles import CYAN, MAGENTA, TOLERANCE, check_tiles, difference, expected_tile

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.shown import active_heatmaps


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Twelve digits with a run, and no predictions."""
    root = save_digits(tmp_path_factory.mktemp("tiles") / "digits", per_class=4, side=192)
    dataset = fg.import_folders(str(root), "tiles in the app")
    make_run(dataset, "made")
    yield dataset
    dataset.delete()


def expect(dataset, field=None, color=MAGENTA) -> list[np.ndarray]:
    dataset.reload()
    return [expected_tile(sample, field, color) for sample in dataset]


def test_a_missing_heatmap_is_noticed(dataset):
    fg.predict(dataset, "made", "seen", heatmap_field="seen_cam")
    for sample in dataset:
        plain, magenta = expected_tile(sample), expected_tile(sample, "seen_cam")
        assert difference(magenta, magenta) == 0
        assert difference(plain, magenta) > 2 * TOLERANCE
        assert difference(expected_tile(sample, "seen_cam", CYAN), magenta) > 2 * TOLERANCE
        cold = np.asarray(fo.Heatmap(map_path=sample.seen_cam.map_path).get_map()) < 20
        assert cold.any()
    dataset.delete_sample_fields(["seen", "seen_scores", "seen_cam"])


@pytest.mark.parametrize("loads", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_heatmaps_are_there_when_a_job_ends_and_in_all_loads(app, dataset, loads):
    # The App has opened the dataset before there is any heatmap.
    app.open(dataset.name)
    app.open_panel()
    check_tiles(app.page, expect(dataset))
    app.press("predict")
    app.execute()
    app.wait_for_text("Predicted 12 images", 180)
    expected = expect(dataset, "gradcam")
    check_tiles(app.page, expected)
    app.screenshot("61 a job has ended")
    # Another one writes the same heatmaps into other files meanwhile.
    job = fg.predict(dataset, "made", delegate=True)
    for load in range(loads):
        if load == loads // 2:
            job.wait(180)
            check_tiles(app.page, expected)
            # Other heatmaps, made outside of the App, and a tab that remembers nothing.
            fg.predict(dataset, "made", heatmaps=("label",))
            app.forget()
            # A page may ask for files that were just replaced; then it reads the samples again.
            app.errors[:] = [error for error in app.errors if "404" not in error]
            expected = expect(dataset, "gradcam_label", CYAN)
        if load % 2:
            app.page.reload()
            app.page.locator("[data-cy=looker]").first.wait_for()
        else:
            app.page.goto("about:blank")
            app.open(dataset.name)
        app.open_panel()
        check_tiles(app.page, expected)
    app.screenshot("62 loaded often")
    assert active_heatmaps(dataset) == ["gradcam_label"]
