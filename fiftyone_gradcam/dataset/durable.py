"""Ensure that writes are on the disk of FiftyOne's database before others that depend on them.

MongoDB confirms writes before they are on disk: it writes its journal ten times a second. If it is
killed, or the machine loses power, it loses the writes after the last time. A process that is
writing at the time does not notice, because pymongo reconnects when the database is back.
Therefore, if a write depends on another, the first must be on disk before the second is made. A
replica set confirms only writes that most members have, and loses none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import fiftyone.core.odm as foo
from bson import ObjectId
from pymongo import WriteConcern
from pymongo.errors import AutoReconnect, OperationFailure


class RestartedError(AutoReconnect):
    """Raised when the database was restarted while it was written to."""

    def __init__(self) -> None:
        super().__init__(
            "FiftyOne's database was started again while it was written to, and may have lost what "
            "it had confirmed just before. Call again"
        )


@contextmanager
def durable() -> Iterator[None]:
    """Write to the database in the body, and wait until everything written is on its disk.

    Raises:
        RestartedError: if the database was restarted in the meantime, so that writes may be lost
    """
    before = _process()
    yield
    wait_for_disk()
    if _process() != before:
        raise RestartedError


def wait_for_disk() -> None:
    """Wait until all writes that the database has confirmed are on its disk (some milliseconds)."""
    datasets = foo.get_db_conn().datasets.with_options(write_concern=WriteConcern(j=True))
    try:  # changes nothing, but the database answers only when its journal is written
        datasets.update_one({"_id": None}, {"$set": {"name": None}})
    except OperationFailure as error:
        if "journal" not in str(error):  # earlier versions may have no journal
            raise


def _process() -> ObjectId | None:
    """Return an id of the current process of the database; None for a replica set."""
    found = foo.get_db_client().admin.command("hello")
    if found.get("setName") or found.get("msg") == "isdbgrid":
        return None
    return found.get("topologyVersion", {}).get("processId")
