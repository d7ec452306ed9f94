"""A process that does one queued job: `python -m fiftyone_gradcam.jobs.worker TARGET`."""

from __future__ import annotations

import os
import sys

from ..locks import held_by_process
from .processes import name_of


def main(target: str) -> None:
    """Wait for the turn, then do the oldest queued job of a target.

    Each job brings a process, so all are done, in the order in which they were queued, whichever
    process has its turn first.
    """
    with held_by_process(
        target
    ):  # FiftyOne is imported afterwards: those who wait take little memory
        from fiftyone.operators.delegated import DelegatedOperationService

        from . import queue

        if operation := queue.next_operation(target):
            own = name_of(os.getpid())
            DelegatedOperationService().execute_operation(operation, run_link=own)
            if queue.load_job(operation.id).state == "completed":
                queue.forget_log(operation)


if __name__ == "__main__":
    main(sys.argv[1])
