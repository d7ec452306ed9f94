"""Work that is ended from outside leaves what it has done in good order."""

import os

import fiftyone as fo
import numpy as np
import pytest
from conftest import QUICK
from made_runs import make_run, some_digits

import fiftyone_gradcam as fg
from fiftyone_gradcam.app.panels.runs import describe_run
from fiftyone_gradcam.dataset.fields import field_info
from fiftyone_gradcam.dataset.files import heatmap_folder
from fiftyone_gradcam.dataset.overview import overview
from fiftyone_gradcam.dataset.run_files import can_resume
from fiftyone_gradcam.dataset.spool import spools
from fiftyone_gradcam.training.resize_features import CHOOSING
from fiftyone_gradcam.workflow import training


def ending_after(calls: int, least: int = 0):
    """A progress function that ends the work after so many calls and images."""
    count = 0

    def report(done: int, total: int, message: str) -> None:
        nonlocal count
        count += 1
        if count >= calls and done >= least:
            raise fg.CancelledError

    return report


def test_a_cancelled_training_is_a_run_of_its_best_epoch_and_can_go_on(trained):
    whole = fg.fine_tune(trained, "whole", **{**QUICK, "epochs": 3}, progress=False)
    steps = []
    fg.fine_tune(
        trained, "again", **{**QUICK, "epochs": 3}, progress=lambda *report: steps.append(report)
    )
    per_epoch = len(steps) // 3
    message = (
        r"Canceled: the best weights are kept as run 'part': .* 1 of 3 epochs \(best: epoch 1\)"
    )
    with pytest.raises(fg.CancelledError, match=message):
        fg.fine_tune(
            trained, "part", **{**QUICK, "epochs": 3}, progress=ending_after(per_epoch + 2)
        )
    run = fg.load_run(trained, "part")
    assert run.canceled
    assert [row["epoch"] for row in run.history] == [1]
    assert run.val_accuracy == whole.history[0]["val_accuracy"]
    assert overview(trained).canceled == "1 of 3 epochs"
    assert "1 of 3 epochs; canceled; kept: epoch 1." in describe_run(trained, "part")[0]
    fg.predict(trained.limit(5), "part", prediction_field="of_part", heatmaps=(), progress=False)
    assert trained.count("of_part") == 5
    resumed = fg.fine_tune(trained, "part", resume=True, progress=False)
    assert [row["epoch"] for row in resumed.history] == [1, 2, 3]
    assert (resumed.canceled, overview(trained).canceled) == (False, None)
    assert "3 epochs; kept: epoch" in describe_run(trained, "part")[0]
    assert resumed.val_accuracy == whole.val_accuracy
    state, other = resumed.load_model().state_dict(), whole.load_model().state_dict()
    assert all(np.array_equal(state[name], other[name]) for name in other)
    assert "3 epochs (best" in str(resumed)


def test_a_training_that_stopped_early_was_not_cancelled_even_if_its_successor_was_killed(trained):
    def kill(done: int, total: int, message: str) -> None:
        if "Epoch 2" in message:
            raise KeyboardInterrupt

    options = {**QUICK, "epochs": 200, "early_stopping": 1, "progress": False}
    run = fg.fine_tune(trained, "early", **options)
    assert (run.canceled, len(run.history) < 200) == (False, True)
    assert overview(trained).canceled is None
    words = describe_run(trained, "early")[0]
    assert f"{len(run.history)} of 200 epochs; kept: " in words
    with pytest.raises(KeyboardInterrupt):
        fg.fine_tune(trained, "early", overwrite=True, **{**options, "progress": kill})
    assert can_resume(trained, "early")
    assert overview(trained).canceled is None
    assert describe_run(trained, "early")[0] == words
    assert fg.load_run(trained, "early") == run
    fg.delete_run(trained, "early")


def test_a_training_cancelled_before_its_first_epoch_leaves_no_run(trained, monkeypatch):
    def choose(dataset, recipe, paths, labels, device, progress):
        progress(1, 2, CHOOSING)

    monkeypatch.setattr(training, "choose_resize", choose)
    for phase, compared in (("Epoch 1 of 6", "auto"), (CHOOSING, "squash")):
        monkeypatch.setattr(training, "AUTO", compared)  # without weights, nothing is compared
        words = f"Canceled before anything was learned, in the phase “{phase}”: nothing is kept"
        with pytest.raises(fg.CancelledError, match=words):
            fg.fine_tune(trained, "none", **QUICK, progress=ending_after(1))
    assert "none" not in fg.list_runs(trained)
    with pytest.raises(ValueError, match="no training 'none' to resume"):
        fg.fine_tune(trained, "none", resume=True)


@pytest.mark.parametrize("scale", ["image", "run"])
def test_cancelled_predictions_are_stored_and_named_as_a_part(trained, scale):
    own = {"prediction_field": f"by_{scale}", "heatmap_field": f"map_{scale}", "scale": scale}
    names = [f"by_{scale}", f"by_{scale}_scores", f"map_{scale}"]
    with pytest.raises(fg.CancelledError, match=r"Canceled: \d+ of 180 images have predictions"):
        fg.predict(trained, "quick", progress=ending_after(1, least=20), **own)
    done = trained.count(names[0])
    assert 20 <= done < 180
    for name in names:
        assert field_info(trained, name)["partial"] == {"samples": done, "of": 180}
        assert trained.get_field(name).description.endswith(f"(a part: {done} of 180 samples)")
    # Maps that share a scale are drawn when the last of them is known.
    assert trained.count(names[2]) == (done if scale == "image" else 0)
    folder, kept = heatmap_folder(trained, names[2]), trained.values(f"{names[2]}.map_path")
    files = os.listdir(folder) if os.path.isdir(folder) else []
    assert sorted(files) == sorted(os.path.basename(path) for path in kept if path)
    fg.predict(trained, "quick", progress=False, **own)
    assert "partial" not in field_info(trained, names[0])
    assert "a part" not in trained.get_field(names[2]).description
    assert trained.count(names[2]) == 180


def test_cancelled_predictions_go_on_where_they_stopped(trained):
    own = {"prediction_field": "on", "heatmap_field": "on_cam", "heatmaps": ("predicted", "label")}
    fields = ["on", "on_scores", "on_cam", "on_cam_label"]
    with pytest.raises(fg.CancelledError):
        fg.predict(trained, "quick", progress=ending_after(1, least=20), **own)
    done = trained.exists("on").values("id")
    before = dict(zip(done, trained.exists("on").values("on.id"), strict=True))
    steps = []
    view = fg.predict(trained, "quick", resume=True, progress=lambda *r: steps.append(r), **own)
    assert steps[-1][:2] == (180 - len(done), 180 - len(done))
    assert len(view) == 180
    now = dict(zip(*view.values(["id", "on.id"]), strict=True))
    assert {sample: now[sample] for sample in done} == before  # these were not made again
    for name in fields:
        assert trained.count(name) == (180 if name != "on_scores" else 180 * 3)
        assert "partial" not in field_info(trained, name)
    fg.predict(trained, "quick", prediction_field="whole", heatmaps=(), progress=False)
    np.testing.assert_allclose(trained.values("on_scores"), trained.values("whole_scores"), 1e-4)
    # All are there, and one more call changes nothing.
    fg.predict(trained, "quick", resume=True, progress=False, **own)
    assert dict(zip(*trained.values(["id", "on.id"]), strict=True)) == now


def test_a_field_holds_the_values_of_one_run_alone(trained):
    own = {"prediction_field": "one", "heatmap_field": "one_cam", "progress": False}
    fg.predict(trained, "quick", **own)
    fg.fine_tune(trained, "rival", **{**QUICK, "epochs": 1}, progress=False)
    some = trained.limit(30)
    message = r"Field 'one' holds values of run 'quick' for 150 samples that are not among these"
    for options in ({}, {"resume": True}):
        with pytest.raises(ValueError, match=message):
            fg.predict(some, "rival", **own, **options)
    assert field_info(trained, "one")["run"] == "quick"
    assert trained.count("one") == 180
    folder = heatmap_folder(trained, "one_cam")
    fg.predict(some, "rival", overwrite=True, **own)
    assert trained.exists("one").values("id") == some.values("id")
    assert len(os.listdir(folder)) == 30
    # A pass over all that is cut short leaves what the earlier run said, until all is there.
    before = some.values("one.label")
    with pytest.raises(fg.CancelledError, match=r"\d+ of 180 .* on disk: the fields keep"):
        fg.predict(trained, "quick", **{**own, "progress": ending_after(1, least=40)})
    assert trained.exists("one").values("id") == some.values("id")
    assert some.values("one.label") == before
    assert field_info(trained, "one")["run"] == "rival"
    # A pass into other fields leaves what waits for these.
    fg.predict(some, "quick", prediction_field="other", heatmaps=(), progress=False)
    # Cut short once more, it counts what waits from before too.
    more = {**own, "resume": True, "progress": ending_after(1, least=20)}
    with pytest.raises(fg.CancelledError, match=r"\d+ of 180 .* on disk") as reported:
        fg.predict(trained, "quick", **more)
    (waiting,) = spools(trained)
    done = {sample_id for sample_id, _ in waiting.rows()}
    assert 60 <= len(done) < 180
    assert int(str(reported.value).split()[1]) == len(done)
    assert len(os.listdir(folder)) == 30 + len(done)
    steps = []
    fg.predict(trained, "quick", resume=True, **{**own, "progress": lambda *r: steps.append(r)})
    assert steps[-1][:2] == (180 - len(done), 180 - len(done))
    assert field_info(trained, "one")["run"] == "quick"
    assert trained.count("one") == trained.count("one_cam") == 180
    assert sorted(os.listdir(folder)) == sorted(
        os.path.basename(path) for path in trained.values("one_cam.map_path")
    )
    assert spools(trained) == []
    # The same key trained anew is another run.
    fg.fine_tune(trained, "rival", **{**QUICK, "epochs": 1}, overwrite=True, progress=False)
    fg.predict(trained, "rival", **own)
    fg.fine_tune(trained, "rival", **{**QUICK, "epochs": 1}, overwrite=True, progress=False)
    with pytest.raises(ValueError, match="'rival' with other weights or options for 150 samples"):
        fg.predict(some, "rival", **own)


@pytest.fixture
def made(tmp_path, name, one_thread):
    """A dataset of 60 digits with a run "first", made without training."""
    for dataset in some_digits(tmp_path / "digits", name, per_class=20):
        make_run(dataset, "first", files=False)
        yield dataset


def test_a_pass_that_is_cancelled_leaves_each_sample_a_heatmap(made):
    own = {"heatmaps": ("predicted", "label"), "device": "cpu"}
    names = ("gradcam", "gradcam_label")

    def files() -> dict[str, list[str]]:
        rows = made.values(["id", *(f"{name}.map_path" for name in names)])
        return {sample_id: paths for sample_id, *paths in zip(*rows, strict=True)}

    fg.predict(made, "first", progress=False, **own)
    before = files()
    with pytest.raises(fg.CancelledError, match="Canceled: "):
        fg.predict(made, "first", progress=ending_after(1, least=12), **own)
    after = files()
    assert all(os.path.exists(path) for paths in after.values() for path in paths)
    again = [i for i in before if not set(before[i]) & set(after[i])]
    assert 12 <= len(again) < 60
    assert all(after[i] == before[i] for i in before if i not in again)
    assert not any(os.path.exists(path) for i in again for path in before[i])
    for position, name in enumerate(names):
        kept = {os.path.basename(paths[position]) for paths in after.values()}
        assert set(os.listdir(heatmap_folder(made, name))) == kept


def test_resume_makes_the_heatmaps_that_an_earlier_pass_did_not(trained):
    own = {"prediction_field": "more", "heatmap_field": "more_cam", "progress": False}
    fg.predict(trained, "quick", **own)
    both = {**own, "heatmaps": ("predicted", "label", "contrast")}
    with pytest.raises(fg.CancelledError, match="images have predictions and heatmaps by"):
        fg.predict(trained, "quick", **{**both, "progress": ending_after(1, least=20)})
    made = trained.count("more_cam_label")
    assert 20 <= made < 180
    assert field_info(trained, "more")["partial"]["samples"] == made
    fg.predict(trained, "quick", resume=True, **both)
    assert trained.count("more_cam_label") == trained.count("more_cam") == 180
    assert trained.count("more_cam_contrast") == len(fg.mistakes(trained, "more"))
    assert "partial" not in field_info(trained, "more_cam_label")


def test_resume_does_not_take_labels_of_others_for_predictions(trained):
    labels = [fo.Classification(label="theirs")] * len(trained)
    trained.set_values("their_own", labels)
    own = {"prediction_field": "their_own", "heatmaps": (), "progress": False}
    fg.predict(trained, "quick", resume=True, overwrite=True, **own)
    assert "theirs" not in trained.distinct("their_own.label")
