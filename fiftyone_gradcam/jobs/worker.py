"""A process that does one queued job: `python -m fiftyone_gradcam.jobs.worker TARGET`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ..locks import held_by_process
from .processes import forget_worker, name_of


def main(target: str) -> None:
    """Found a nursery if need be, wait for the turn, then do the oldest queued job of a target.

    Each job brings a process, so all are done, in the order in which they were queued, whichever
    process has its turn first.
    """
    if place := os.environ.pop("FIFTYONE_GRADCAM_NURSERY", None):
        from . import nursery

        target = nursery.found(target, Path(place))  # from here on, in each worker that it forks
    own = name_of(os.getpid())
    try:
        with held_by_process(target):
            # FiftyOne is imported here at the earliest: those who wait take little memory.
            from fiftyone.operators.delegated import DelegatedOperationService

            from . import queue

            if operation := queue.next_operation(target):
                DelegatedOperationService().execute_operation(operation, run_link=own)
                if queue.load_job(operation.id).state == "completed":
                    queue.forget_log(operation)
    finally:
        forget_worker(target, own)


if __name__ == "__main__":
    main(sys.argv[1])
