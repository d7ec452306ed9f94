"""What a training is on, and how long it takes, as its form says: nothing is measured here."""

import threading
import time
from dataclasses import asdict
from types import SimpleNamespace

import fiftyone as fo
import pytest

from fiftyone_gradcam.app.operators import training_time
from fiftyone_gradcam.app.operators.training_time import Images, Time, images_of, speed_of
from fiftyone_gradcam.dataset.storing import Declared, declare
from fiftyone_gradcam.jobs import measure, speeds
from fiftyone_gradcam.training.duration import Speed

SPEED, OTHER = Speed("cpu", 0.1, 0.2, 0.3), Speed("cuda", 0.01, 0.02, 0.03)
#       label, split, number of samples
ROWS = [
    *(("a", "train", 4), ("b", "train", 3), (None, "train", 1)),
    *(("a", "val", 2), ("b", "test", 2), (None, "val", 1), ("c", None, 2)),
]


@pytest.fixture
def dataset(name):
    dataset = fo.Dataset(name)
    declare(dataset, "own", Declared("classification", "", {}, {}))
    for label, tag, count in ROWS:
        for _ in range(count):
            sample = fo.Sample(f"/{len(dataset)}.png", tags=[tag] if tag else [])
            sample["own"] = label and fo.Classification(label=label)
            dataset.add_sample(sample)
    yield dataset
    dataset.delete()


def found(samples, **choices) -> Images:
    return images_of({"samples": samples, "recipe": "default", "label_field": "own", **choices})


def test_the_images_of_a_training(dataset):
    paths = [f"/{n}.png" for n in range(8)]
    assert found(dataset) == Images({"a": 4, "b": 3}, 2, paths)
    assert found(dataset, images_per_class=3) == Images({"a": 3, "b": 3}, 2, paths)
    assert found(dataset).train_count == 7
    # Where none are tagged "train", all that are in no other split.
    rest = dataset.match_tags("train", bool=False)
    assert found(rest) == Images({"c": 2}, 2, ["/13.png", "/14.png"])
    assert found(dataset.match_tags("test")) == Images({}, 0, [])
    # A dataset without a split is split first, as the recipe says; a view of it is not.
    dataset.set_values("tags", [["mine"] for _ in dataset])
    split = found(dataset, images_per_class=2)
    assert (split.is_split, split.by_class, split.paths) == (False, {"a": 2, "b": 2, "c": 1}, paths)
    assert found(dataset.exists("own")).by_class == {"a": 6, "b": 5, "c": 2}


@pytest.fixture
def measuring(monkeypatch):
    """What was asked for, and what is answered."""

    class Own:
        answer, asked = None, []

        def __call__(self, request, *how):
            self.asked.append((request, *how[:2]))  # not what keeps the result
            return self.answer

    own = Own()
    own.asked = []
    monkeypatch.setattr(training_time, "measured", own)
    monkeypatch.setattr(training_time, "known", own)
    return own


def test_a_speed_is_measured_once_and_waited_for_if_none_is_known(dataset, measuring, monkeypatch):
    def speed(patience, yields=False, **choices):
        measuring.asked.clear()
        return speed_of(dataset, "default", choices, 3, ["/x"], patience, yields)

    choices = {"epochs": 3, "weights": "auto"}  # one measurement for all weights
    request = {"recipe": "default", "choices": choices, "classes": 3, "paths": ["/x"]}
    assert speed(None, epochs=3) is None
    assert measuring.asked == [(request,)]  # it is only looked for
    assert speed(0.5, epochs=3) is None
    assert measuring.asked == [(request, 0.5, False)]
    measuring.answer = {"error": "no memory"}
    assert speed(0.5) == Time(error="no memory")
    assert str(Time(error="no memory")) == "the time could not be estimated (no memory)"
    measuring.answer = {"speed": asdict(SPEED), "image_size": 224}
    assert speed(0.5) == SPEED
    for size in (None, 224):  # whoever chooses this size has the same network
        assert speeds.kept_speed(dataset, "resnet18", size) == (SPEED, True)
    assert speeds.kept_speed(dataset, "resnet18", 64) == (None, False)
    measuring.answer = None
    assert speed(0.5, image_size=224) == SPEED
    assert measuring.asked[0][1:] == (0.0, False)  # one is known: a new one is not waited for
    assert speed(0.0, yields=True) == SPEED
    assert len(measuring.asked[0]) == 1  # measured just now: none is started
    now = speeds.time.time()
    monkeypatch.setattr(speeds, "time", SimpleNamespace(time=lambda: now + 3601))
    measuring.answer = {"speed": asdict(OTHER), "image_size": 224}
    assert speed(0.0, yields=True) == OTHER
    assert measuring.asked[0][1:] == (0.0, True)
    assert speeds.kept_speed(dataset, "resnet18", 224) == (OTHER, True)
    assert speed(0.0, backbone="resnet34") == OTHER  # of another network
    assert speeds.kept_speed(dataset, "resnet34", None) == (OTHER, True)


@pytest.mark.parametrize(
    ("time", "words"),
    [
        (Time(0.2, "cpu"), "about 1 s on the CPU"),
        (Time(89.4, "mps"), "about 89 s on Apple's GPU"),
        (Time(90, "cuda"), "about 2 min on the GPU"),
        (Time(5369, "cuda:1"), "about 89 min on cuda:1"),
        (Time(5400), "about 1 h 30 min"),
    ],
)
def test_a_time_in_words(time, words):
    assert str(time) == words


def test_a_measurement_is_waited_for_as_long_as_asked(monkeypatch):
    goes_on = threading.Event()
    thread = threading.Thread(target=goes_on.wait, daemon=True)
    monkeypatch.setattr(measure._measurements, "going", None)
    assert measure.wait_for_measurement(0.0)
    monkeypatch.setattr(measure._measurements, "going", SimpleNamespace(thread=thread))
    assert measure.wait_for_measurement(0.0)  # it has not started
    thread.start()
    for seconds in (0.0, 0.25):
        began = time.monotonic()
        assert not measure.wait_for_measurement(seconds)
        assert seconds <= time.monotonic() - began < seconds + 5  # a busy machine is no failure
    threading.Timer(0.05, goes_on.set).start()
    assert measure.wait_for_measurement(60.0)
    assert not thread.is_alive()
