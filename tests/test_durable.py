"""A database that is killed: what was waited for is on its disk, what may be lost is noticed."""

import os
from functools import partial

import fiftyone as fo
import pymongo
import pytest
from database import Database
from fiftyone.core.odm import get_db_conn

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset import durable, spool
from fiftyone_gradcam.dataset.fields import field_info
from fiftyone_gradcam.dataset.storing import Declared
from fiftyone_gradcam.dataset.tidying import make_ready


@pytest.fixture
def other(tmp_path, monkeypatch):
    """A database beside that of the tests, in which `durable` writes, and a client of it."""
    database = Database(tmp_path / "other")
    database.start()
    with pymongo.MongoClient(database.uri) as client:
        monkeypatch.setattr(durable.foo, "get_db_conn", lambda: client.own)
        monkeypatch.setattr(durable.foo, "get_db_client", lambda: client)
        yield database, client.own
    database.stop()


def test_what_was_waited_for_survives_a_kill_and_a_new_start_is_noticed(other):
    database, own = other

    def start_again() -> None:
        database.kill()
        database.start()

    own.values.insert_one({"_id": 1})
    with durable.durable():
        own.values.update_one({"_id": 1}, {"$set": {"first": 1}})
    start_again()  # less than 100 ms after the write: else it would be lost
    assert own.values.find_one() == {"_id": 1, "first": 1}

    @durable.durable()
    def write_meanwhile() -> None:
        own.values.update_one({"_id": 1}, {"$set": {"second": 2}})
        start_again()
        assert own.values.find_one()["first"] == 1  # pymongo itself says nothing

    with pytest.raises(durable.RestartedError, match="may have lost what it had confirmed"):
        write_meanwhile()


@pytest.fixture
def restarts(monkeypatch):
    """Says that the database is started again, wherever that is asked."""
    process = ["first"]
    monkeypatch.setattr(durable, "_process", lambda: process[-1])
    return partial(process.append, "second")


def test_an_import_that_a_restart_made_forget_a_field_says_so_and_is_completed(
    digits, name, restarts
):
    """The next call gives the field its signature. FiftyOne reads a dataset again when the first
    sample is added: it would make the field of that, without one."""

    def forget(done: int, total: int, message: str) -> None:
        if done == 1:
            lost = {"$pull": {"sample_fields": {"name": "imported_label"}}}
            assert get_db_conn().datasets.update_one({"name": name}, lost).modified_count == 1
            restarts()

    with pytest.raises(RuntimeError, match=r"was started again .*import .*again, and it continues"):
        fg.import_folders(str(digits), name, progress=forget)
    dataset = fg.import_folders(str(digits), name, progress=False)
    assert field_info(dataset, "imported_label")["label_field"] == "ground_truth"
    assert dataset.values("imported_label") == dataset.values("ground_truth.label")
    assert dataset.info["import_folders"]["whole"]
    assert len(dataset) == 90


def test_values_that_a_restart_may_have_lost_stay_on_disk_until_they_are_stored(name, restarts):
    dataset = fo.Dataset(name)
    ids = dataset.add_samples([fo.Sample(filepath=f"/{x}.png") for x in "ab"])
    declared = Declared("float", "of something", {}, {})

    def parts():
        yield {ids[0]: {"value": 0.5}}
        yield {ids[1]: {"value": 0.25}}

    def write(*args) -> None:
        restarts()
        written(*args)
        lost = {"$unset": {"value": ""}}
        dataset._sample_collection.update_many({}, lost)

    with pytest.MonkeyPatch.context() as patch:
        written = spool.write_rows
        patch.setattr(spool, "write_rows", write)
        with pytest.raises(durable.RestartedError):
            spool.replace_by_parts(dataset, {"value": declared}, parts())
    dataset.reload()
    assert dataset.values("value") == [None, None]
    assert len(spool.spools(dataset, spool.READY)) == 1
    make_ready(dataset)
    assert dataset.values("value") == [0.5, 0.25]
    assert os.listdir(spool.spool_folder(dataset)) == []
