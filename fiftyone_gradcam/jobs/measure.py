"""A process that measures how fast a training is: `python -m fiftyone_gradcam.jobs.measure`."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import asdict

from .processes import module_command, own_environment

_found: dict[str, dict | None] = {}
_lock = threading.Lock()


def measured(request: dict, patience: float) -> dict | None:
    """How long a training takes, measured once for the same request.

    It is measured by a process of its own: the App's server does without PyTorch.

    Args:
        request: "recipe", its name; "choices" of it; "classes", "learnt" and "watched", numbers of
            classes and images; "paths", some training images
        patience: seconds to wait for a measurement; it goes on after them

    Returns:
        "device" and "seconds"; or "error"; None if it is not there as yet
    """
    key = json.dumps({name: value for name, value in request.items() if name != "paths"})
    with _lock:
        thread = None
        if key not in _found:
            _found[key] = None
            thread = threading.Thread(target=_measure, args=(key, request), daemon=True)
            thread.start()
    if thread is not None:
        thread.join(patience)
    return _found[key]


def _measure(key: str, request: dict) -> None:
    done = subprocess.run(
        module_command("fiftyone_gradcam.jobs.measure"),
        input=json.dumps(request),
        env=own_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        _found[key] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        _found[key] = {"error": done.stderr.strip().rpartition("\n")[2] or "no measurement"}


def main(request: dict) -> dict:
    """What `measured` returns."""
    import numpy as np

    from ..model.recipes import make_recipe
    from ..model.speed import estimate_seconds, measure_speed

    try:
        recipe = make_recipe(request["recipe"], **request["choices"])
        recipe = recipe.settled(np.zeros(request["learnt"], np.int64))
        speed = measure_speed(recipe, request["classes"], request["paths"])
    except (ValueError, OSError) as error:
        return {"error": str(error)}
    seconds = estimate_seconds(speed, recipe, request["learnt"], request["watched"])
    return {**asdict(speed), "seconds": seconds}


if __name__ == "__main__":
    print(json.dumps(main(json.load(sys.stdin))))
