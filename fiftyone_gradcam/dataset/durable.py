"""What FiftyOne's database confirms is not on its disk yet: MongoDB writes its journal ten times a
second, and loses what came after the last time when it is killed, or the machine loses its power.

A process that writes meanwhile does not notice: pymongo connects again when the database is back.
So where one write rests on another, the first must be on disk before the second is made. A set of
replicas confirms what most of them have, and loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import fiftyone.core.odm as foo
from bson import ObjectId
from pymongo import WriteConcern
from pymongo.errors import AutoReconnect, OperationFailure


class RestartedError(AutoReconnect):
    """The database was started again while it was written to."""

    def __init__(self) -> None:
        super().__init__(
            "FiftyOne's database was started again while it was written to, and may have lost what "
            "it had confirmed just before. Call again"
        )


@contextmanager
def durable() -> Iterator[None]:
    """Write to the database, and wait until all that was written is on its disk.

    Raises:
        RestartedError: if the database was started again meanwhile: some of it may be lost
    """
    before = _process()
    yield
    wait_for_disk()
    if _process() != before:
        raise RestartedError


def wait_for_disk() -> None:
    """Wait until all that the database has confirmed is on its disk (some milliseconds)."""
    datasets = foo.get_db_conn().datasets.with_options(write_concern=WriteConcern(j=True))
    try:  # changes nothing: the database answers when its journal is written
        datasets.update_one({"_id": None}, {"$set": {"name": None}})
    except OperationFailure as error:
        if "journal" not in str(error):  # one that keeps none, as earlier versions could
            raise


def _process() -> ObjectId | None:
    """Tells a process of the database from those before it; None of a set of replicas."""
    found = foo.get_db_client().admin.command("hello")
    if found.get("setName") or found.get("msg") == "isdbgrid":
        return None
    return found.get("topologyVersion", {}).get("processId")
