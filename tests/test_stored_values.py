"""How values are stored, on samples without images."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import bson
import fiftyone as fo
import numpy as np
import pytest
from conftest import save_digits
from fiftyone.core.odm import get_db_conn
from made_runs import make_run, some_digits

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset import run_keys, runs, spool, storing, writing
from fiftyone_gradcam.dataset.fields import OWNER, class_counts, labels_of, refresh
from fiftyone_gradcam.dataset.predictions import PredictionWriter
from fiftyone_gradcam.dataset.run_fields import rename_run_in_fields
from fiftyone_gradcam.dataset.spool import (
    ONCE,
    READY,
    WAITING,
    Spool,
    make_header,
    replace_by_parts,
    replace_values,
    settle,
    spool_folder,
    spools,
)
from fiftyone_gradcam.dataset.storing import Declared, declare, is_other, write_rows
from fiftyone_gradcam.explain.render import HeatmapOptions

SCORE = Declared("float", "Scores of run 'a'", {"run": "a", "version": "1"}, {})


@pytest.fixture
def dataset(name):
    dataset = fo.Dataset(name)
    samples = [fo.Sample(f"/{number}.png", text="ab"[number % 2]) for number in range(10)]
    samples[3]["text"] = ""
    samples[4]["text"] = None
    dataset.add_samples(samples)
    return dataset


def test_a_text_without_letters_is_no_label(dataset):
    labels = labels_of(dataset, "text")[2]
    assert labels == ["a", "b", "a", None, None, "b", "a", "b", "a", "b"]
    assert class_counts(labels) == {"a": 4, "b": 4}
    counts = fg.split(dataset, {"train": 0.5, "val": 0.5}, label_field="text")
    assert counts == {"train": {"a": 2, "b": 2}, "val": {"a": 2, "b": 2}}
    assert dataset.count_sample_tags() == {"train": 4, "val": 4}


def test_samples_say_when_they_were_changed(dataset):
    """FiftyOne and the App show, sort by and export what was modified last."""
    ids = dataset.values("id")
    before = dict(zip(ids, dataset.values("last_modified_at"), strict=True))

    def changed() -> list[str]:
        now = dict(zip(ids, dataset.values("last_modified_at"), strict=True))
        found = [i for i in ids if now[i] > before[i]]
        before.update(now)
        return found

    declare(dataset, "score", SCORE)
    write_rows(dataset, {ids[0]: {"score": 0.5}, ids[2]: {"score": None}, ids[5]: {}})
    assert changed() == [ids[0], ids[2]]
    write_rows(dataset, {ids[1]: {}})
    write_rows(dataset, {})
    assert changed() == []
    assert dataset.values("score") == [0.5, *[None] * 9]
    fg.split(dataset, {"train": 0.5, "val": 0.5}, label_field="text")
    assert changed() == ids  # without a label a sample loses its tag


def test_a_field_that_holds_a_part_is_no_other_for_that(dataset):
    declare(dataset, "score", SCORE, {"samples": 1, "of": 10})
    assert not is_other(dataset, "score", SCORE)  # there is no value
    write_rows(dataset, {dataset.first().id: {"score": 0.5}})
    assert not is_other(dataset, "score", SCORE)
    for info in ({"run": "b", "version": "1"}, {"run": "a", "version": "2"}):
        assert is_other(dataset, "score", Declared("float", SCORE.words, info, {}))
    assert not is_other(dataset, "gone", SCORE)
    field = dataset.get_field("score")
    words = f"{SCORE.words} (a part: 1 of 10 samples)"
    assert (field.description, field.info["partial"]) == (words, {"samples": 1, "of": 10})
    # One that is there is described again, and gets the attributes that it lacks.
    declare(dataset, "score", SCORE)
    field = dataset.get_field("score")
    assert (field.description, field.info) == (SCORE.words, {"written_by": OWNER, **SCORE.info})
    for attributes in ({}, {"margin": "float", "note": "text", "sure": "bool"}):
        declare(dataset, "seen", Declared("classification", "", {}, attributes))
    assert dataset.get_field("seen.margin").__class__ is fo.FloatField
    assert dataset.get_field("seen.sure").__class__ is fo.BooleanField


def test_a_renamed_run_is_named_in_words_and_facts(dataset):
    declare(dataset, "score", SCORE)
    rename_run_in_fields(dataset, ["score"], "a", "new")
    field = dataset.get_field("score")
    assert field.description == "Scores of run 'new'"
    assert (field.info["run"], field.info["version"]) == ("new", "1")


def test_keys_that_are_free(dataset):
    config = dataset.init_run()
    assert run_keys.free_key(dataset, "resnet18") == "resnet18"
    for key, following in (("resnet18", "resnet18_2"), ("resnet18_2", "resnet18_3")):
        dataset.register_run(key, config)
        assert run_keys.free_key(dataset, "resnet18") == following


def test_what_a_killed_process_wrote_of_a_sample_is_cut_off(dataset):
    one, two, three = dataset.values("id")[:3]
    waiting = Spool.create(dataset, make_header({"score": SCORE}, ["score"]))
    waiting.add({one: {"score": 0.25}})
    whole = os.path.getsize(waiting.path)
    with open(waiting.path, "ab") as file:
        file.write(bson.encode({"id": two, "values": {"score": 0.5}})[:-3])
    assert list(waiting.rows()) == [(one, {"score": 0.25})]
    assert os.path.getsize(waiting.path) == whole
    waiting.add({three: {"score": 0.75}})
    assert list(waiting.rows()) == [(one, {"score": 0.25}), (three, {"score": 0.75})]
    waiting.commit()
    assert dataset.values("score")[:4] == [0.25, None, 0.75, None]


def test_values_of_which_one_cannot_be_written_wait_all_or_none(dataset):
    one, two, three = dataset.values("id")[:3]
    waiting = Spool.create(dataset, make_header({"score": SCORE}, ["score"]))
    waiting.add({one: {"score": 0.25}})
    with pytest.raises(OverflowError):
        waiting.add({two: {"score": 0.5}, three: {"score": 10**400}})
    assert list(waiting.rows()) == [(one, {"score": 0.25})]


def test_values_of_which_some_cannot_be_made_leave_nothing_that_waits(dataset):
    ids = dataset.values("id")

    def parts() -> Iterator[dict]:
        yield {ids[0]: {"score": 0.25}}
        assert len(spools(dataset)) == 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace_by_parts(dataset, {"score": SCORE}, parts())
    assert os.listdir(spool_folder(dataset)) == []
    assert dataset.get_field("score") is None


def test_values_that_were_decided_on_are_put_in_place_by_the_next_call(dataset):
    one, two = dataset.values("id")[:2]
    header = make_header({"score": SCORE}, ["score"]) | {ONCE: True}
    decided, waiting = Spool.create(dataset, header), Spool.create(dataset, header)
    decided.add({one: {"score": 0.25}})
    waiting.add({two: {"score": 0.75}})
    os.replace(decided.path, decided.path.removesuffix(WAITING) + READY)
    assert settle(dataset) == 2
    assert dataset.values("score")[:2] == [0.25, None]
    assert os.listdir(spool_folder(dataset)) == []


def test_old_values_go_for_all_samples_or_for_those_that_get_new_ones(dataset, monkeypatch):
    ids, seen, write = dataset.values("id"), [], spool.write_rows
    other = Declared("float", "Scores of run 'b'", {"run": "b"}, {})

    def watched(own, rows) -> None:
        seen.append(own.get_field("score").info.get("partial"))
        write(own, rows)

    monkeypatch.setattr(spool, "write_rows", watched)
    old = [0.5, 0.5, 0.5, *[None] * 7]
    for clears_all, values in ((False, [None, 0.25, 0.5]), (True, [None, 0.25, None])):
        declare(dataset, "score", SCORE)
        dataset.set_values("score", old)
        rows = {ids[0]: {}, ids[1]: {"score": 0.25}}
        replace_values(dataset, {"score": other}, rows, clears_all)
        assert dataset.values("score")[:3] == values
        field = dataset.get_field("score")
        assert (field.description, field.info) == (other.words, {"written_by": OWNER, "run": "b"})
    # Until then it says that it is a part; a field that keeps its values is none.
    assert seen == [{"samples": 0, "of": 2}] * 2
    kept = Spool.create(dataset, make_header({"score": other, "new": SCORE}, []))
    kept.add({ids[1]: {"score": 0.5, "new": 1.0}, ids[2]: {"new": 2.0}})
    kept.add({ids[1]: {"score": 0.75}})  # once more: the rest of it stays
    kept.commit()
    assert seen[2:] == [None]
    assert list(dataset.values(["score", "new"])) == [
        [None, 0.75, *[None] * 8], [None, 1.0, 2.0, *[None] * 7]
    ]  # fmt: skip
    assert dataset.get_field("new").info == {"written_by": OWNER, **SCORE.info}


def test_values_are_cleared_in_parts(dataset, monkeypatch):
    monkeypatch.setattr(storing, "AT_ONCE", 2)
    ids = dataset.values("id")
    dataset.add_sample_field("score", fo.FloatField)
    for chosen, left in ((ids[1:6], 5), (ids[:1], 9), ([], 10), (None, 0)):
        dataset.set_values("score", [0.5] * 10)
        storing.clear_fields(dataset, ["score"], chosen)
        assert dataset.count("score") == left


def test_what_is_half_written_is_removed_and_other_files_are_not_read(dataset):
    made = Spool.create(dataset, make_header({"score": SCORE}, ["score"]))
    for name in ("killed.part", "other.txt"):
        with open(os.path.join(spool_folder(dataset), name), "w") as file:
            file.write("x")
    assert [one.path for one in spools(dataset)] == [made.path]
    assert spools(dataset, READY) == []
    assert sorted(os.listdir(spool_folder(dataset))) == sorted(
        ["other.txt", os.path.basename(made.path)]
    )
    assert made.is_like(made.header)
    assert not made.is_like(made.header | {"clears_all": False})


def test_who_had_to_wait_for_a_dataset_sees_what_the_other_has_written(dataset, monkeypatch):
    @contextmanager
    def locked(*_) -> Iterator[bool]:
        mark = {"$set": {"info.note": "of another process"}}
        get_db_conn().datasets.update_one({"_id": dataset._doc.id}, mark)
        yield True

    assert "note" not in dataset.info
    monkeypatch.setattr(writing, "locked", locked)
    with writing.writing(dataset):
        assert dataset.info["note"] == "of another process"


def test_values_that_wait_go_with_the_version_of_their_run(tmp_path, name):
    for dataset in some_digits(tmp_path / "digits", name, per_class=1):
        run = make_run(dataset, "a", files=False)
        fact = {"key": "a", "version": run.version}
        header = make_header({"score": SCORE}, ["score"], fact, ["score"])
        Spool.create(dataset, header).add({dataset.first().id: {"score": 0.25}})
        assert settle(dataset) == 0  # a pass may go on with them
        assert len(spools(dataset)) == 1
        (waiting,) = spools(dataset)
        waiting.commit()
        assert dataset.values("score") == [0.25, None, None]
        assert "score" in dataset.list_indexes()
        Spool.create(dataset, header)
        runs.save_run(dataset, run)  # another of the same key
        assert settle(dataset) == 1
        assert spools(dataset) == []
        assert dataset.values("score") == [0.25, None, None]


def test_values_that_wait_for_the_fields_of_another_pass_are_discarded(tmp_path, name):
    for dataset in some_digits(tmp_path / "digits", name, per_class=1):
        run, ids = make_run(dataset, "a"), dataset.values("id")
        fact = {"key": "a", "version": run.version}
        for field in ("prediction", "score"):
            declared = Declared("classification", "", {"run": "a"}, {})
            Spool.create(dataset, make_header({field: declared}, [field], fact))
        with pytest.raises(ValueError, match=r"^No image can be predicted\. There are no samples$"):
            fg.predict(dataset.limit(0), "a", heatmaps=())
        writer = PredictionWriter(
            dataset, run, "prediction", {}, "ground_truth", HeatmapOptions(), ids, np.zeros(3, int)
        )
        assert (writer.keep_part(), writer.has_predictions) == (0, False)
        assert dataset.get_field("prediction") is None
        assert len(spools(dataset)) == 2
        fg.predict(dataset, "a", heatmaps=(), progress=False)
        assert [list(one.fields) for one in spools(dataset)] == [["score"]]
        assert None not in dataset.values("prediction.label")


def test_a_dataset_is_read_again_only_when_the_database_knows_more(tmp_path, name):
    dataset = fg.import_folders(str(save_digits(tmp_path / "digits", per_class=4)), name)
    own, records = {"_id": dataset._doc.id}, get_db_conn().datasets
    sample = dataset.first()
    sample.tags.append("not saved")
    refresh(dataset)
    assert sample.tags == ["not saved"]
    # What other processes write: facts of the dataset, of a field, and a run.
    records.update_one(own, {"$set": {"info.theirs": [1]}})
    refresh(dataset)
    assert dataset.info["theirs"] == [1]
    place = [one.name for one in dataset._doc.sample_fields].index("ground_truth")
    records.update_one(own, {"$set": {f"sample_fields.{place}.info": {"theirs": 2}}})
    refresh(dataset)
    assert dataset.get_field("ground_truth").info == {"theirs": 2}
    made = make_run(dataset, "theirs", files=False)
    runs_of_others = records.find_one(own)["runs"]
    records.update_one(own, {"$set": {"runs": {}}})
    refresh(dataset)
    assert dataset.list_runs() == []
    assert not runs.has_run(dataset, "theirs")
    records.update_one(own, {"$set": {"runs": runs_of_others}})
    assert runs.has_run(dataset, "theirs")
    assert fg.load_run(dataset, "theirs").classes == made.classes
