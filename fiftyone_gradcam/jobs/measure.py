"""A process that measures how fast a training is: `python -m fiftyone_gradcam.jobs.measure`."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace

from .processes import module_command, own_environment

KEEP_SECONDS = 900.0  # a measurement: the machine may have more or less to do then
# Choices of a recipe that make no difference to its speed, or one that is reckoned with.
NO_MATTER = frozenset(
    [
        *("epochs", "seed", "learning_rate", "head_lr_factor", "weight_decay", "momentum"),
        *("optimizer", "schedule", "warmup", "label_smoothing", "class_balance", "dropout"),
        "early_stopping",
    ]
)


@dataclass
class _Going:
    key: str
    process: subprocess.Popen
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
            self.going.process.terminate()
        process = subprocess.Popen(
            module_command("fiftyone_gradcam.jobs.measure"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=own_environment(),
        )
        thread = threading.Thread(target=self._measure, args=(key, request, process), daemon=True)
        self.going = _Going(key, process, thread)
        thread.start()
        return thread

    def _measure(self, key: str, request: dict, process: subprocess.Popen) -> None:
        out, errors = process.communicate(json.dumps(request))
        if process.returncode < 0:  # ended for another
            return
        try:
            found = json.loads(out.splitlines()[-1])
        except (IndexError, ValueError):
            found = {"error": errors.strip().rpartition("\n")[2] or "no measurement"}
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


if __name__ == "__main__":
    print(json.dumps(main(json.load(sys.stdin))))
