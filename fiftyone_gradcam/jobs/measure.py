"""A process that measures how fast a training is: `python -m fiftyone_gradcam.jobs.measure`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

from . import asking, nursery, places, worker
from .processes import is_alive, module_command, name_of, worker_environment

KEEP_SECONDS = 900.0  # a measurement: the machine may have more or less to do then
# Choices of a recipe that make no difference to its speed, or one that is reckoned with.
NO_MATTER = frozenset(
    [
        *("epochs", "seed", "learning_rate", "head_lr_factor", "weight_decay", "momentum"),
        *("optimizer", "schedule", "warmup", "label_smoothing", "class_balance", "dropout"),
        "early_stopping",
    ]
)


class _Process:
    """A process that measures.

    The nursery forks it, or it is started, and then leaves a nursery behind for those that follow.

    Args:
        request: see `main`
    """

    def __init__(self, request: dict):
        from .queue import settings

        self.was_ended, self._text = False, json.dumps(request)
        self._started: subprocess.Popen | None = None
        environment, asked = worker_environment(settings()), None
        if asking.can_fork():
            asked = asking.ask(self._text, environment)
            environment[places.FOUND] = str(places.socket_path(environment))
        if asked is not None:
            number, self._connection = asked
            self._name = name_of(number)
            return
        command, pipes = (
            module_command("fiftyone_gradcam.jobs.measure"),
            dict.fromkeys(("stdin", "stdout", "stderr"), -1),
        )
        self._started = subprocess.Popen(command, text=True, env=environment, **pipes)

    @property
    def is_forked(self) -> bool:
        """Whether the nursery forked it."""
        return self._started is None

    def answer(self) -> dict | None:
        """Wait for what it has measured; None if it was ended."""
        if self._started is not None:
            out, errors = self._started.communicate(self._text)
        else:
            out, errors = self._read(), ""
        if self.was_ended:
            return None
        try:
            return json.loads(out.splitlines()[-1])
        except (IndexError, ValueError):
            return {"error": errors.strip().rpartition("\n")[2] or "no measurement"}

    def _read(self) -> str:
        try:
            with self._connection:
                return asking.read(self._connection).decode()
        except OSError:  # it was killed
            return ""

    def end(self) -> None:
        """End it: its answer is of no use any more."""
        self.was_ended = True
        if self._started is not None:
            self._started.terminate()
        elif is_alive(self._name):
            os.kill(int(self._name.rsplit(" ", 2)[1]), signal.SIGTERM)


@dataclass
class _Going:
    key: str
    process: _Process
    thread: threading.Thread


class Measurements:
    """What was measured, and what is: one at a time, or they would measure each other."""

    def __init__(self):
        self.found: dict[str, tuple[float, dict]] = {}
        self.going: _Going | None = None
        self.lock = threading.Lock()

    def look(self, request: dict, patience: float) -> dict | None:
        """See `measured`."""
        matter = {name: x for name, x in request["choices"].items() if name not in NO_MATTER}
        known = {name: x for name, x in request.items() if name != "paths"} | {"choices": matter}
        key = json.dumps(known, sort_keys=True)
        with self.lock:
            thread = self._start(key, {**request, "choices": matter})
        if thread is not None:
            thread.join(patience)
        found = self._fresh(key)
        if found is None or "error" in found:
            return found
        epochs = request["choices"].get("epochs") or found["epochs"]
        return {"device": found["device"], "seconds": found["once"] + epochs * found["epoch"]}

    def _fresh(self, key: str) -> dict | None:
        at, found = self.found.get(key, (0.0, None))
        return found if found is not None and time.monotonic() - at < KEEP_SECONDS else None

    def _start(self, key: str, request: dict) -> threading.Thread | None:
        """Start a measurement, unless it is there or going on."""
        if self._fresh(key) is not None:
            return None
        if self.going is not None and self.going.thread.is_alive():
            if self.going.key == key:
                return self.going.thread
            self.going.process.end()
        process = _Process(request)
        thread = threading.Thread(target=self._measure, args=(key, process), daemon=True)
        self.going = _Going(key, process, thread)
        thread.start()
        return thread

    def _measure(self, key: str, process: _Process) -> None:
        found = process.answer()
        if found is not None:
            self.found[key] = (time.monotonic(), found)


_measurements = Measurements()


def measured(request: dict, patience: float) -> dict | None:
    """How long a training takes; measured once for choices that make no difference.

    It is measured by a process of its own: the App's server does without PyTorch. One that is going
    on for another request is ended.

    Args:
        request: "recipe", its name; "choices" of it; "classes", "learnt" and "val_images", numbers
            of classes and images; "paths", some training images
        patience: seconds to wait for a measurement; it continues after them

    Returns:
        "device" and "seconds"; or "error"; None if it is not there as yet
    """
    return _measurements.look(request, patience)


def wait_for_measurement(seconds: float) -> bool:
    """Wait until the measurement that is going on has ended; returns whether none is left.

    Args:
        seconds: at most
    """
    end = time.monotonic() + seconds
    while (going := _measurements.going) is not None and going.thread.is_alive():
        going.thread.join(min(0.2, max(0.0, end - time.monotonic())))
        if time.monotonic() >= end:
            return False
    return True


def main(request: dict) -> dict:
    """Measure.

    Returns:
        "device"; "epochs", the recipe's own number; seconds that it takes "once", and for each
        "epoch"; or "error"
    """
    import numpy as np

    from ..training.recipes import make_recipe
    from ..training.speed import estimate_seconds, measure_speed

    try:
        recipe = make_recipe(request["recipe"], **request["choices"])
        recipe = recipe.settled(np.zeros(request["learnt"], np.int64))
        speed = measure_speed(recipe, request["classes"], request["paths"])
    except (ValueError, OSError) as error:
        return {"error": str(error)}
    one, two = (
        estimate_seconds(speed, replace(recipe, epochs=n), request["learnt"], request["val_images"])
        for n in (1, 2)
    )
    return {
        "device": speed.device,
        "epochs": recipe.epochs,
        "once": one - (two - one),
        "epoch": two - one,
    }


def _run() -> None:
    """Measure what standard input asks for, and print it; in what is forked later, do a job."""
    if (place := os.environ.pop(places.FOUND, None)) and (target := nursery.found("", Path(place))):
        worker.main(target)
    else:
        print(json.dumps(main(json.load(sys.stdin))))


if __name__ == "__main__":
    _run()
