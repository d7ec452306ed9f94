"""The progress of an operation with several steps, and the time that is left of it."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import QUICK, save_digits

import fiftyone_gradcam as fg
from fiftyone_gradcam.jobs.pace import seconds_left
from fiftyone_gradcam.model.backbones import get_backbone
from fiftyone_gradcam.progress import shares_of, skip
from fiftyone_gradcam.training.recipes import make_recipe
from fiftyone_gradcam.training.resizing import comparison_work
from fiftyone_gradcam.training.work import work_of
from fiftyone_gradcam.workflow import training_progress


def test_steps_share_one_progress_that_never_decreases():
    reported = []
    one, two, three = shares_of(lambda *x: reported.append(x), 3000, 6000, 1000)
    one(1, 2, "a")
    one(2, 2, "b")
    two(0, 50, "c")
    two(25, 50, "d")
    two(10, 50, "back")
    three(1, 4, "e")
    three(9, 4, "f")
    assert reported == [
        *[(1500, 10_000, "a"), (3000, 10_000, "b"), (3000, 10_000, "c"), (6000, 10_000, "d")],
        *[(6000, 10_000, "back"), (9250, 10_000, "e"), (10_000, 10_000, "f")],
    ]


def test_a_step_that_is_not_needed_does_not_count():
    reported = []
    _, two, three = shares_of(lambda *x: reported.append(x), 5000, 3000, 1000)
    two(1, 2, "")
    two(0, 0, "")
    three(1, 1, "")
    assert [done / total for done, total, _ in reported] == pytest.approx(
        [3 / 8, 3 / 8, 1], abs=1e-3
    )
    # A small size is as good as a large one; what is no function stays as it is.
    reported.clear()
    shares_of(lambda *x: reported.append(x), 0.9, 0.1)[0](1, 3, "")
    assert reported == [(300, 1000, "")]
    assert shares_of(True, 1, 2) == (True, True)
    assert shares_of(None, 1) == (None,)


def test_what_was_done_before_a_step_does_not_count():
    reported = []
    one, two = shares_of(lambda *x: reported.append(x), 4000, 3000)
    skip(one, 75, 100)  # 1,000 of 4,000 are left
    for done in (80, 100):
        one(done, 100, "")
    two(1, 3, "")
    assert [done / total for done, total, _ in reported] == pytest.approx(
        [0.05, 0.25, 0.5], abs=1e-3
    )
    reported.clear()
    one, two = shares_of(lambda *x: reported.append(x), 4000, 3000)
    skip(one, 100, 100)
    one(100, 100, "")
    two(1, 3, "")
    assert [done / total for done, total, _ in reported] == pytest.approx([0, 1 / 3], abs=1e-3)
    skip(lambda *_: pytest.fail("called"), 1, 2)  # a progress of its own has nothing to divide


@pytest.mark.parametrize(
    ("share", "seconds", "first", "expected", "left"),
    [
        (0.2, 60, (0, 0), None, 240),
        (0.2, 3, (0, 0), None, None),  # nothing is known as yet
        (0.6, 30, (0.5, 10), None, 80),  # resumed at a half: 10% took 20 s
        (0.0, 2, (0, 0), 88, 86),  # as the form said
        (0.1, 20, (0, 0), 100, 2 / 3 * 180 + 1 / 3 * 80),  # slower than expected
        (0.5, 50, (0, 0), 300, 50),  # measured well enough
        (0.6, 30, (0.5, 10), 100, 2 / 3 * 80 + 1 / 3 * 70),  # resumed: only a tenth is measured
        (0.1, 120, (0, 0), 100, 1080),  # what was expected is over
    ],
)
def test_time_that_is_left(share, seconds, first, expected, left):
    found = seconds_left(share, seconds, *first, expected)
    assert found == (None if left is None else pytest.approx(left))


def test_the_work_of_a_training_is_counted_in_forward_passes():
    plain = make_recipe(backbone="small_cnn", weights="none", epochs=4)
    work = work_of(plain, 100, 20)
    assert (work.once, work.learn, work.epoch) == (0, 3, 320)
    head = make_recipe(backbone="resnet18", head_epochs=1, epochs=4)
    assert (work_of(head, 100, 20).once, work_of(head, 100, 20).epoch) == (120, 320)
    assert work_of(head, 100, 20, resumes=True).once == 0
    assert work_of(head, 100, 20, has_room=False).once == 0
    whole = make_recipe(backbone="resnet18", head_epochs=0, epochs=4)
    assert (work_of(whole, 100, 20).once, work_of(whole, 100, 20).learn) == (0, 3)
    probe = make_recipe("linear-probe", backbone="resnet18", epochs=4)
    calm = make_recipe(probe, freeze="none")  # no augmentation, but all layers learn
    assert (work_of(calm, 100, 20).once, work_of(calm, 100, 20).learn) == (0, 3)
    for other, room in ((make_recipe(probe, rotation=5.0), True), (probe, False)):
        work = work_of(other, 100, 20, has_room=room)  # what is frozen is evaluated each time
        assert (work.once, work.learn, work.look, work.epoch) == (0, 1, 1, 120)
    assert (work_of(probe, 100, 20).once, work_of(probe, 100, 20).epoch) == (120, 0.02 * 120)
    # Validated every 2 of 4 steps of 25 images: twice in an epoch.
    often = make_recipe(
        backbone="small_cnn", weights="none", epochs=4, batch_size=25, validate_every=2
    )
    assert work_of(often, 100, 20).epoch == 340
    labels = np.arange(50) % 2
    assert comparison_work(probe.with_resize("crop"), labels) == 0
    assert comparison_work(probe, labels) == 150
    assert comparison_work(probe, labels[:39]) == 0


def test_few_images_of_each_class_are_less_work(monkeypatch):
    monkeypatch.setattr(training_progress, "shares_of", lambda progress, *sizes: sizes)
    sizes = []
    for count, most in ((50, 4), (4, None)):
        recipe = make_recipe("default", weights="none", epochs=3, images_per_class=most)
        labels = np.repeat([0, 1], count)
        sizes.append(training_progress.steps_of(recipe, SimpleNamespace(labels=labels), None, None))
    assert sizes[0] == sizes[1]


def test_a_training_with_all_its_steps_reports_one_progress(tmp_path, name):
    """The bar must not be full after the first step, nor start over with the next."""
    root = save_digits(tmp_path / "digits", per_class=30, side=32)
    dataset = fg.import_folders(str(root), name)
    torch.save(get_backbone("squeezenet1_1").build(3).state_dict(), tmp_path / "weights.pt")
    reported = []
    options = {"backbone": "squeezenet1_1", "weights": str(tmp_path / "weights.pt")}
    options |= {"device": "cpu", "image_size": 32}
    fg.fine_tune(
        dataset, "whole", epochs=2, head_epochs=1, **options, progress=lambda *x: reported.append(x)
    )
    shares = [done / total for done, total, _ in reported]
    assert shares == sorted(shares)
    assert len({total for _, total, _ in reported}) == 1
    steps = {
        "Choosing how to resize images: crop, squash or letterbox": None,
        "Extracting features": None,
        "New layers: validation": None, "Epoch 1 of 2": None, "Epoch 2 of 2": None,
        "Saving the run": None,
    }  # fmt: skip
    for share, (_, _, words) in zip(shares, reported, strict=True):
        step = words.partition(" · ")[0]
        if step in steps:
            steps[step] = share
    ends = list(steps.values())
    assert None not in ends, steps
    # 54 to train, 18 to validate: 54 x 3 compared, 72 computed, and 2 epochs of 54 x 3 + 18.
    total = (162 + 72 + 2 * 180) * 1.02
    assert ends[0] == pytest.approx(162 / total, abs=0.01)
    assert ends[1] == pytest.approx(234 / total, abs=0.01)
    assert ends[3] == pytest.approx((234 + 162) / total, abs=0.01)
    assert ends[5] == pytest.approx(1 / 1.02, abs=0.01)

    # One that finds the comparison's features kept does not begin at a third of its progress.
    reported.clear()
    fg.fine_tune(
        *(dataset, "again"), epochs=2, head_epochs=1, **options,
        progress=lambda *x: reported.append(x),
    )  # fmt: skip
    shares = {words.partition(" · ")[0]: done / total for done, total, words in reported}
    assert min(shares.values()) < 0.2
    assert next(iter(steps)) not in shares
    assert shares["Extracting features"] == pytest.approx(72 / (total - 162), abs=0.01)

    # One that resumes starts where it was.
    reported.clear()
    quick = {**QUICK, "progress": lambda *x: reported.append(x)}
    fg.fine_tune(dataset, "quick", **{**quick, "epochs": 2})
    reported.clear()
    fg.fine_tune(dataset, "quick", resume=True, epochs=4, progress=quick["progress"])
    shares = [done / total for done, total, _ in reported]
    assert shares == sorted(shares)
    assert 0.49 < shares[0] < 0.75
