"""What functions print about their results: each case that can be, by the whole text."""

from types import SimpleNamespace

import pytest

from fiftyone_gradcam.images.decode import ImageError
from fiftyone_gradcam.progress import CancelledError
from fiftyone_gradcam.training.recipe import Recipe
from fiftyone_gradcam.workflow import finding_leaks, importing, predicting, splitting, training
from fiftyone_gradcam.workflow.training_progress import (
    TrainingReporter,
    hooks_of,
    naming_phase,
    report_saving,
)


@pytest.fixture
def printed(capsys):
    """The lines that were printed since the last call."""
    return lambda: [*capsys.readouterr().out.splitlines()]


def test_heatmaps_of_labels_are_counted_and_so_are_empty_ones(printed):
    def report(made: dict, zero: dict, total: int) -> list[str]:
        names = {"predicted": "cam", "label": "cam_label", "contrast": "cam_contrast"}
        known = {kind: names[kind] for kind in ("predicted", *made)}
        maps = {kind: count for kind, count in made.items() if count}  # as they are counted
        writer = SimpleNamespace(heatmap_fields=known, maps=maps, zero_maps=zero)
        predicting._report_maps(writer, total)
        return printed()

    assert report({}, {}, 3) == []
    assert report({"contrast": 3}, {}, 3) == ["3 heatmaps in 'cam_contrast'"]
    assert report({"label": 0}, {}, 3) == [
        "0 heatmaps in 'cam_label', for samples whose label is a class of the classifier"
    ]
    assert report({"label": 3}, {"predicted": 1, "against:predicted": 1}, 3) == [
        "3 heatmaps in 'cam_label'",
        "1 heatmap in 'cam' is zero everywhere: no evidence for the class",
    ]
    assert report({"label": 1, "contrast": 2}, {"predicted": 2}, 3) == [
        "1 heatmap in 'cam_label', for samples whose label is a class of the classifier",
        "2 heatmaps in 'cam_contrast', for samples whose label is a class of the classifier and "
        "differs from the prediction",
        "2 heatmaps in 'cam' are zero everywhere: no evidence for the class",
    ]


def test_leaks_are_counted_for_each_two_splits(printed):
    own = ["train", "train", "val", "test", "val"]
    names = ["train", "val", "test"]
    finding_leaks._report([], own, names)
    assert printed() == ["No image is in two of train, val, test"]
    # The image 2 is equal to one and similar to another one; the image 4 is similar to two.
    pairs = [(0, 2, "near"), (1, 2, "exact"), (4, 0, "near"), (1, 4, "near"), (3, 0, "exact")]
    finding_leaks._report(pairs, own, names)
    assert printed() == [
        "2 images of 'val' are also in 'train': 1 identical, 1 near duplicate",
        "1 image of 'test' is also in 'train': 1 identical, 0 near duplicates",
    ]
    finding_leaks._report([(1, 2, "exact"), (0, 2, "near")], own, names)
    assert printed() == ["1 image of 'val' is also in 'train': 1 identical, 0 near duplicates"]


def test_parts_of_a_split_name_the_classes_that_they_lack(printed):
    counts = {"train": {"a": 2, "b": 1, "c": 1}, "val": {"b": 1}}
    splitting._report_parts(counts, {})
    assert printed() == [
        "train: 4 images",
        "val: 1 image",
        "  none of a, c: too few images of the class",
    ]
    splitting._report_parts({"train": {"a": 2}}, {"dev": 3, "test": 1})
    assert printed()[1:] == ["The earlier split of these samples is replaced: dev (3), test (1)"]


def test_classes_with_fewer_images_than_requested_are_named(printed):
    splitting._report_small({"a": 12, "b": 11, "c": 1}, {"train": 9, "val": 3})
    assert printed() == [
        "Classes with fewer images than the 12 requested are split in the same proportions: "
        "b (11), c (1)"
    ]
    splitting._report_small({"a": 12}, {"train": 9, "val": 3})
    splitting._report_small({"a": 0}, {"train": 0.9, "val": 0.1})  # which are no numbers of images
    assert printed() == []


def test_folds_are_no_more_than_images():
    assert splitting._folds(2, 2) == {"fold_1": 0.5, "fold_2": 0.5}
    assert splitting._folds(4, 9) == {f"fold_{number}": 0.25 for number in (1, 2, 3, 4)}
    assert splitting._folds(5, 0) == {"fold_1": 0.5, "fold_2": 0.5}  # an error later
    with pytest.raises(ValueError, match="1 image cannot be split into 2 folds"):
        splitting._folds(2, 1)


def test_what_the_network_does_not_see_is_said_from_a_fifth_on(printed):
    def data(share: float, *failed: ImageError) -> SimpleNamespace:
        failures = dict(enumerate(failed))
        return SimpleNamespace(
            images=SimpleNamespace(failures=failures, hidden_share=lambda: share)
        )

    def report(share: float, is_auto: bool = False) -> list[str]:
        training._report_images(data(share), None, is_auto)
        return printed()

    words = "The network sees only the central square: 25% of the images' area is outside it"
    assert report(0.2) == []
    assert report(0.25, is_auto=True) == [words]
    broken = ImageError("/1.png", "empty file"), ImageError("/2.png", "not an image")
    training._report_images(data(0.2, broken[0]), data(0.9, broken[1]), False)
    left_out = "Left out 1 image:"
    assert printed() == [
        *(left_out, "  1 empty file", "  such as /1.png"),
        *(left_out, "  1 not an image", "  such as /2.png"),
    ]
    assert report(0.25) == [f"{words}. resize='squash' or 'letterbox' uses the whole image"]


class Run:
    advice, watch = "", None

    def __str__(self) -> str:
        return "run 'a'"


def test_the_result_of_a_training_is_all_that_is_known_of_it(printed):
    run = Run()
    training._report_run(run, [], False)
    assert printed() == ["Saved run 'a'"]
    run.advice, run.watch = "Do more.", {"strip": "/watch.png"}
    finding = SimpleNamespace(severity="warning", message="Too few")
    words = "Canceled: the best weights are kept as run 'a'. It can be resumed"
    with pytest.raises(CancelledError, match=words):
        training._report_run(run, [finding], True)
    assert printed() == [
        "Saved run 'a'",
        "Do more.",
        "Warning: Too few",
        "How the heatmaps changed: /watch.png",
    ]


def test_a_training_names_its_step_and_its_last_epoch(printed):
    steps = []
    reporter = TrainingReporter(lambda *step: steps.append(step), Recipe("small_cnn"), True)
    reporter(1, 9, None)
    reporter.name("Warming up")
    reporter(2, 9, None)
    assert printed() == []
    reporter(3, 9, "epoch 1: fine")
    reporter(4, 9, None)
    assert printed() == ["", f"{'epoch 1: fine':<79}"]  # over the bar
    assert steps == [
        (1, 9, "Training small_cnn"),
        (2, 9, "Warming up"),
        (3, 9, "Warming up · epoch 1: fine"),
        (4, 9, "Warming up · epoch 1: fine"),
    ]
    TrainingReporter(lambda *_: None, Recipe("small_cnn"), False)(1, 9, "epoch 1")
    assert printed() == []


def test_a_cancellation_names_the_phase():
    def cancel(done, total, message):
        if message.startswith("Epoch"):
            raise CancelledError("Canceled")

    assert [naming_phase(x) for x in (None, True, False)] == [None, True, False]
    report = naming_phase(cancel)
    report(1, 2, "Choosing")
    words = "Canceled before anything was learned, in the phase “Epoch 1”: nothing is kept"
    with pytest.raises(CancelledError, match=words):
        report(1, 2, "Epoch 1 · epoch 0: x")
    trained, steps = SimpleNamespace(cancelled=False), []
    report_saving(None, trained)
    report_saving(lambda *step: steps.append(step), trained)
    assert steps == [(0, 1, "Saving the run")]
    assert not trained.cancelled

    def stop(*_):
        raise CancelledError

    report_saving(stop, trained)  # the run is saved all the same
    assert trained.cancelled


def test_hooks_take_no_heatmaps_unless_they_are_asked_for():
    given = (lambda *_: None, Recipe("small_cnn"), False)
    recorder, keep, live = object(), object(), object()
    hooks = hooks_of(*given, recorder, keep, live)
    assert recorder in vars(hooks).values()
    assert {id(keep), id(live), id(print)} <= {id(x) for x in vars(hooks).values()}
    assert None not in vars(hooks_of(*given, None, keep, live)).values()


def imported(**more) -> SimpleNamespace:
    """The result of an import of one image, of a dataset that has two."""

    class Dataset:
        def __init__(self):
            self.name, self.info = "food", {importing.INFO_KEY: {"report": None}}

        def __len__(self) -> int:
            return 2

        def count_sample_tags(self) -> dict[str, int]:
            return {"test": 1, "mine": 2, "train": 1, "val": 0}

    names = "notes duplicates contradictions moved refreshed broken changed removed skipped"
    nothing = {name: [] for name in names.split()}
    found = {"dataset": Dataset(), "ids": ["1"], "reasons": dict, **nothing, **more}
    return SimpleNamespace(**found)


PLAN = SimpleNamespace(root="/data/food", classes=["a", "b"], items=[], warnings=[])


def test_an_import_says_what_is_new_or_no_more(printed):
    importing._report(PLAN, imported())
    assert printed() == ["Dataset 'food': 1 image added, 2 in total, 2 classes"]
    items = [SimpleNamespace(split=split) for split in (None, "train")]
    importing._report(SimpleNamespace(**{**vars(PLAN), "items": items}), imported())
    assert printed()[1:] == ["Split tags from the folders: train 1, test 1"]
    other = SimpleNamespace(**{**vars(PLAN), "root": "/data/meals", "warnings": ["odd"]})
    importing._report(
        other,
        imported(
            ids=[],
            notes=[("/x", "truncated"), ("/y", "large"), ("/z", "large")],
            duplicates=[["/1", "/2", "/3"], ["/4", "/5"]],
            contradictions=[["/6", "/7", "/61"], ["/62", "/63"]],
            moved=[("/old", "/new"), ("/old2", "/new2")],
            refreshed=["/8", "/9"],
            broken=[("/10", "empty file"), ("/101", "not an image")],
            changed=[("/11", "a", "b"), ("/111", "b", "a")],
            removed=["/12"],
            skipped=[("/13", "empty file")],
            reasons=lambda: {"empty file": 1},
        ),
    )
    assert printed() == [
        "Dataset 'food' of the folder 'meals': 0 images added, 2 in total, 2 classes",
        "Note: odd",
        "Note: 2 large",
        "Note: 1 truncated",
        "Note: 5 files are identical, such as /1 and /2",
        "Note: 2 images are in two classes, such as /6 and /7",
        "Note: the files of 2 samples were moved, such as /old to /new: the samples have the new "
        "paths",
        "Note: 2 files have changed, such as /8: their metadata was updated. Predictions and "
        "heatmaps are those of the old files",
        "Note: the files of 2 samples can no longer be used, such as /10 (empty file); the samples "
        "are kept",
        "Note: 2 images with another label in the dataset than in the folder: the dataset's is "
        "kept, such as /11: 'a', in the folder 'b'",
        "Note: the files of 1 sample do not exist, such as /12; the samples are kept. To delete "
        "them: dataset.delete_samples(dataset.select_by('filepath', "
        "dataset.info['import_folders']['removed_files']))",
        *("Left out 1 file:", "  1 empty file", "  such as /13"),
    ]
    found = imported()
    found.dataset.info[importing.INFO_KEY]["report"] = "/import.csv"
    importing._report(PLAN, found)
    assert printed()[1:] == ["The full list is in /import.csv"]
