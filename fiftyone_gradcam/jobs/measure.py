"""Measure the speed of a training in another process: `python -m fiftyone_gradcam.jobs.measure`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from . import fork_client, fork_server, places, worker
from .processes import is_alive, module_command, name_of, worker_environment

NICE = 10  # lower priority of measurements that nobody waits for
KEEP_SECONDS = 900.0  # for a measurement; after that, the load of the machine may differ
# Options of a recipe that do not change its speed, or whose effect is computed.
NO_MATTER = frozenset(
    [
        *("epochs", "seed", "learning_rate", "head_lr_factor", "weight_decay", "momentum"),
        *("optimizer", "schedule", "warmup", "label_smoothing", "class_balance", "dropout"),
        *("early_stopping", "images_per_class", "validate_every", "head_epochs", "freeze"),
    ]
)


class _Process:
    """A process that measures the speed of a training.

    It is forked by the fork server. Without one, it is started as a new process, which then starts
    a fork server for the next ones.

    Args:
        request: see `main`
    """

    def __init__(self, request: dict):
        from .queue import settings

        self.was_ended, self._text = False, json.dumps(request)
        self._started: subprocess.Popen | None = None
        environment, asked = worker_environment(settings()), None
        if fork_client.can_fork():
            asked = fork_client.ask(self._text, environment)
            environment[places.START] = str(places.socket_path(environment))
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
        """Whether the process was forked by the fork server."""
        return self._started is None

    def answer(self) -> dict | None:
        """Wait for the measurement and return it; None if the process was ended."""
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
                return fork_client.read(self._connection).decode(errors="replace")
        except OSError:  # the process was killed
            return ""

    def end(self) -> None:
        """End the process, because its answer is no longer needed."""
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
    """The measurements made so far and the one in progress; parallel ones would slow each other."""

    def __init__(self):
        self.found: dict[str, tuple[float, dict]] = {}
        self.going: _Going | None = None
        self.lock = threading.Lock()

    def look(
        self,
        request: dict,
        patience: float,
        starts: bool = True,
        yields: bool = False,
        keep: Callable[[dict], None] | None = None,
    ) -> dict | None:
        """See `measured`."""
        matter = {name: x for name, x in request["choices"].items() if name not in NO_MATTER}
        known = {name: x for name, x in request.items() if name != "paths"} | {"choices": matter}
        key = json.dumps(known, sort_keys=True)
        with self.lock:
            starts = starts and not (yields and self._is_going(key))
            own = {**request, "choices": matter, "yields": yields}
            thread = self._start(key, own, keep) if starts else None
        if thread is not None:
            thread.join(patience)
        return self._fresh(key)

    def _is_going(self, key: str) -> bool:
        """Return whether another measurement is in progress."""
        going = self.going
        return going is not None and going.key != key and going.thread.is_alive()

    def stop(self) -> None:
        """End the measurement in progress."""
        with self.lock:
            if self.going is not None and self.going.thread.is_alive():
                self.going.process.end()

    def _fresh(self, key: str) -> dict | None:
        at, found = self.found.get(key, (0.0, None))
        return found if time.monotonic() - at < KEEP_SECONDS else None

    def _start(
        self, key: str, request: dict, keep: Callable[[dict], None] | None
    ) -> threading.Thread | None:
        """Start a measurement, unless there is a recent one or it is in progress.

        Returns:
            the thread that waits for the measurement; None if there is a recent one
        """
        if self._fresh(key) is not None:
            return None
        if self.going is not None and self.going.thread.is_alive():
            if self.going.key == key:
                return self.going.thread
            self.going.process.end()
        process = _Process(request)
        thread = threading.Thread(target=self._measure, args=(key, process, keep), daemon=True)
        self.going = _Going(key, process, thread)
        thread.start()
        return thread

    def _measure(self, key: str, process: _Process, keep: Callable[[dict], None] | None) -> None:
        found = process.answer()
        if found is not None:
            self.found[key] = (time.monotonic(), found)
            if keep is not None:
                keep(found)


_measurements = Measurements()


def measured(
    request: dict,
    patience: float,
    yields: bool = False,
    keep: Callable[[dict], None] | None = None,
) -> dict | None:
    """Measure the speed of a training.

    It is measured in another process, so that the App's server need not import PyTorch. A
    measurement in progress for another request is ended. Measurements are reused for options that
    do not change the speed.

    Args:
        request: a dictionary with "recipe", the name of the recipe; "choices", its options;
            "classes", the number of classes; and "paths", paths of some training images
        patience: the maximum number of seconds to wait; after that, the measurement continues
        yields: do nothing while another measurement is in progress, instead of ending it, and
            leave the processor to what the user does meanwhile
        keep: called with the result of a measurement that is started, even if this call does not
            wait for it

    Returns:
        a dictionary with "speed", the attributes of a `Speed`, and "image_size", or with "error";
        None if the measurement is not complete yet
    """
    return _measurements.look(request, patience, yields=yields, keep=keep)


def known(request: dict) -> dict | None:
    """Return what `measured` has found for a request before; None if it has not."""
    return _measurements.look(request, 0.0, starts=False)


def stop_measuring() -> None:
    """End the measurement in progress: a job that starts would slow it, and be slowed by it."""
    _measurements.stop()


def is_measuring() -> bool:
    """Return whether a measurement is in progress."""
    going = _measurements.going
    return going is not None and going.thread.is_alive()


def wait_for_measurement(seconds: float) -> bool:
    """Wait until no measurement is in progress.

    Args:
        seconds: the maximum time to wait

    Returns:
        whether no measurement is in progress any more
    """
    end = time.monotonic() + seconds
    while is_measuring():  # another one may have taken its place
        left = end - time.monotonic()
        if left <= 0:
            return False
        _measurements.going.thread.join(left)
    return True


def main(request: dict) -> dict:
    """Measure the speed of a training.

    Args:
        request: see `measured`

    Returns:
        a dictionary with "speed", the attributes of a `Speed`, and "image_size", the side of the
        network's input in pixels; or with "error"
    """
    from ..training.recipes import make_recipe
    from ..training.speed import measure_speed

    if request.get("yields") and hasattr(os, "nice"):  # not on Windows
        os.nice(NICE)
    try:
        recipe = make_recipe(request["recipe"], **request["choices"])
        speed = measure_speed(recipe, request["classes"], request["paths"])
    except (ValueError, OSError) as error:
        return {"error": str(error)}
    return {"speed": asdict(speed), "image_size": recipe.image_size}


def _run() -> None:
    """Answer the request on standard input; in workers that are forked later, run a job."""
    path = os.environ.pop(places.START, None)
    if path and (target := fork_server.start("", Path(path))):
        worker.main(target)
    else:
        print(json.dumps(main(json.load(sys.stdin))))


if __name__ == "__main__":
    _run()
