"""A process that runs one queued job: `python -m fiftyone_gradcam.jobs.worker TARGET`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ..locks import held_by_process
from .processes import forget_worker, name_of


def main(target: str) -> None:
    """Start a fork server if requested, wait for the lock, and run the oldest job of a target.

    One process is started for each job. So all jobs run in the order in which they were queued,
    in whatever order the processes get the lock.
    """
    if place := os.environ.pop("FIFTYONE_GRADCAM_FORK_SERVER", None):
        from . import fork_server

        target = fork_server.start(target, Path(place))  # workers that it forks continue here too
    own = name_of(os.getpid())
    try:
        with held_by_process(target):
            # FiftyOne is imported only now, so that waiting processes use little memory.
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
