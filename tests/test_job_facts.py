"""What is known of a job: its times, messages, form and result, and what is recorded with it."""

import os
import threading
from datetime import UTC, datetime, timedelta

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from bson import ObjectId
from fiftyone.operators.executor import ExecutionProgress, ExecutionResult

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.files import dataset_folder, files_folder
from fiftyone_gradcam.dataset.writing import lock_of
from fiftyone_gradcam.jobs import processes, queue
from fiftyone_gradcam.jobs.job import LOST, _left, job_of, log_file


@pytest.fixture
def dataset(name):
    return fo.Dataset(name)


def now() -> datetime:
    """As the database has it: UTC, without a time zone."""
    return datetime.now(UTC).replace(tzinfo=None)


def change(service, job: fg.Job, **values) -> fg.Job:
    service._repo._collection.update_one({"_id": ObjectId(job.id)}, {"$set": values})
    return job.refresh()


def run(service, job: fg.Job, seconds: float = 0.0) -> fg.Job:
    """Let this process do a job, since some seconds."""
    service.set_running(ObjectId(job.id), run_link=processes.name_of(os.getpid()))
    return change(service, job, started_at=now() - timedelta(seconds=seconds))


def test_a_job_that_waits_has_no_times_and_no_result(service, submit):
    job = submit("find_leaks", near=False)
    assert (job.state, job.progress, job.message) == ("queued", 0.0, "")
    assert (job.seconds, job.seconds_left, job.ended) == (None, None, None)
    assert (job.outcome, job.log, job.form) == ({}, None, None)
    assert (job.can_repeat, job.given["near"]) == (True, False)
    assert str(job) == repr(job) == f"job {job.label!r}: queued, 0%, "
    assert abs(now() - job.began) < timedelta(seconds=60)
    # An orchestrator schedules operations; without a queue their time is that.
    earlier = datetime(2026, 1, 2)
    queued = job.began
    assert change(service, job, scheduled_at=earlier).began == queued
    assert change(service, job, queued_at=None).began == earlier
    other = change(service, job, metadata=None)
    assert (other.form, other.log) == (None, None)
    assert run(service, job).seconds_left is None


def test_the_times_of_a_job_that_ends(service, submit):
    half = now() - timedelta(seconds=30)
    job = run(service, submit("find_leaks"), seconds=60)
    assert job.ended is None
    service.set_completed(ObjectId(job.id), result=ExecutionResult(result="no dictionary"))
    change(service, job, completed_at=half)
    assert (job.state, job.outcome) == ("completed", {})
    assert abs(job.ended - half) < timedelta(seconds=0.01)
    assert job.seconds == pytest.approx(30, abs=2)
    job = run(service, submit("find_leaks"), seconds=60)
    service.set_failed(ObjectId(job.id), result=ExecutionResult(error="ValueError: no"))
    change(service, job, failed_at=half)
    assert abs(job.ended - half) < timedelta(seconds=0.01)
    assert job.seconds == pytest.approx(30, abs=2)
    # A job that is being canceled goes on, until its process notices.
    job = run(service, submit("find_leaks"), seconds=60)
    assert job.cancel().state == "cancelling"
    change(service, job, failed_at=half)
    assert (job.ended, job.state_word) == (None, "canceling")
    assert job.seconds == pytest.approx(60, abs=5)
    # The clock of another machine may be ahead.
    assert run(service, submit("find_leaks"), seconds=-1000).seconds == 0.0


@pytest.mark.parametrize(
    ("facts", "seconds", "left"),
    [
        ({}, 5.0, None),
        ({"expected_seconds": None}, 5.0, None),
        ({"expected_seconds": 100.0}, 40.0, 60.0),
        ({"expected_seconds": 100.0}, 100.0, None),  # it should have ended by now
        ({"left": [30.0, 50.0], "expected_seconds": 100.0}, 79.0, 30.0),
        ({"left": [30.0, 50.0], "expected_seconds": 100.0}, 80.0, None),
        ({"left": [None, 5.0], "expected_seconds": 100.0}, 6.0, None),
    ],
)
def test_the_time_that_is_left_was_reported_or_expected(facts, seconds, left):
    assert _left(facts, seconds) == left


def test_a_job_that_failed_says_where_or_why(service, submit):
    job = run(service, submit("find_leaks"))
    service.set_progress(ObjectId(job.id), ExecutionProgress(label="Comparing"))
    assert (job.refresh().message, job.progress) == ("Comparing", 0.0)
    error = ExecutionResult(error="Traceback:\n  line 1\nValueError: wrong\n")
    service.set_failed(ObjectId(job.id), result=error)
    assert (job.refresh().state, job.message) == ("failed", "Comparing")
    job = run(service, submit("find_leaks"))
    service.set_failed(ObjectId(job.id), result=error)
    assert job.refresh().message == "ValueError: wrong"
    with pytest.raises(fg.JobError, match="^ValueError: wrong$"):
        job.wait()
    job = run(service, submit("find_leaks"))
    service.set_failed(ObjectId(job.id))
    assert (job.refresh().state, job.message) == ("failed", "")


def test_a_job_is_lost_only_if_nobody_can_do_it(service, submit):
    gone = processes.name_of(2**22 + 1)
    job = submit("find_leaks")
    target = service.get(ObjectId(job.id)).metadata["target"]
    mark = processes._mark(target, processes.name_of(os.getpid()))
    mark.touch()
    assert change(service, job, run_link=gone).state == "queued"  # another worker does it
    mark.unlink()
    assert (job.refresh().state, job.has_ended, job.message) == ("lost", True, LOST)
    assert service.get(ObjectId(job.id)).result.error == LOST
    assert (job.refresh().state, job.message) == ("lost", LOST)
    # Of a job that runs, only its own process counts.
    job = run(service, submit("find_leaks"))
    mark.touch()
    assert change(service, job, run_link=gone).state == "lost"
    mark.unlink()
    assert change(service, submit("find_leaks"), run_link=gone, metadata=None).state == "lost"
    # A process may end between two looks, after its work.
    job = run(service, submit("find_leaks"))
    change_only = {"$set": {"run_link": gone}}
    service._repo._collection.update_one({"_id": ObjectId(job.id)}, change_only)
    before = service.get(ObjectId(job.id))
    service.set_completed(ObjectId(job.id), result=ExecutionResult(result={"summary": "done"}))
    found = job_of(before)
    assert (found.state, found.outcome) == ("completed", {"summary": "done"})
    assert service.get(ObjectId(job.id)).run_state == "completed"


def test_waiting_for_a_job_ends_in_time_and_reloads_its_dataset(dataset, service, submit):
    job = run(service, submit("find_leaks"))
    with pytest.raises(TimeoutError, match=r"^job .*: running, 0%,  has not ended after 0 seconds"):
        job.wait(0)
    done = ExecutionResult(result={"summary": "done"})
    for limit in (60, None):
        other = run(service, submit("find_leaks"))
        end = threading.Timer(0.1, service.set_completed, [ObjectId(other.id), done])
        end.start()
        assert other.wait(limit).state == "completed"
    service.set_completed(ObjectId(job.id), result=done)
    tagged = {"$set": {"tags": ["by another process"]}}
    fo.core.odm.get_db_conn().datasets.update_one({"_id": dataset._doc.id}, tagged)
    assert dataset.tags == []
    assert job.wait() is job
    assert dataset.tags == ["by another process"]
    job = submit("find_leaks")
    job.cancel()
    with pytest.raises(fg.CancelledError, match="^Canceled before it started$"):
        job.wait(5)
    words = "^'nonsense' is not the ID of a job. list_jobs\\(dataset\\) lists all jobs$"
    with pytest.raises(ValueError, match=words):
        fg.load_job("nonsense")


def test_all_that_another_process_needs_is_recorded_with_a_job(dataset, service, submit):
    form = {"near": False, "call": "x", "a.b": 2}
    job = queue.submit("find_leaks", {"samples": dataset}, dataset, form, expected=90.0)
    operation = service.get(ObjectId(job.id))
    own = {"dataset_name": dataset.name, "dataset_id": str(dataset._doc.id)}
    call = operation.context.request_params["params"]["call"]
    assert operation.context.request_params == {
        **own, "delegated": True, "params": {"call": call},
    }  # fmt: skip
    assert operation.label == job.label == "Find leaks between splits"
    assert (operation.delegation_target, operation.run_state) == (None, "queued")
    assert operation.run_link == processes.name_of(os.getpid())
    assert operation.metadata["target"] == lock_of(dataset)
    assert operation.metadata["log"] == os.path.join(dataset_folder(dataset), "jobs")
    assert operation.metadata["expected_seconds"] == 90.0
    assert job.form == {"near": False, "a.b": 2}
    assert run(service, job, seconds=30).seconds_left == pytest.approx(60, abs=5)
    service.delete_operation(operation.id)
    job = queue.submit("find_leaks", {"samples": dataset}, dataset, {"near": object()})
    assert job.form is None  # no form has such a value
    service.delete_operation(ObjectId(job.id))


def test_a_job_without_a_dataset(service, submit):
    given = {"path": "/x", "name": "y"}
    job = queue.submit("import_folders", given, None)
    operation = service.get(ObjectId(job.id))
    assert set(operation.context.request_params) == {"delegated", "params"}
    operator = foo.get_operator("@gradcam/classifier/import_folders")
    assert operation.metadata["target"] == operator.target(given)
    assert operation.metadata["log"] == os.path.join(files_folder(), "jobs")
    service.set_completed(operation.id, result=ExecutionResult(result={"summary": "done"}))
    assert job.wait(5).state == "completed"
    again = queue.repeat_job(job.id, name="z")
    assert again.given == {"path": "/x", "name": "z"}
    for one in (job, again):
        service.delete_operation(ObjectId(one.id))


def test_a_job_whose_worker_has_started_at_once_is_running(dataset, service, monkeypatch):
    own, stopped = processes.name_of(os.getpid()), []

    def start_worker(target, settings, log):
        service.set_running(queue.next_operation(target).id, run_link=own)
        return "another name"

    monkeypatch.setattr(processes, "start_worker", start_worker)
    monkeypatch.setattr(queue.measure, "stop_measuring", lambda: stopped.append(True))
    job = queue.submit("find_leaks", {"samples": dataset}, dataset)
    assert (job.state, stopped) == ("running", [True])
    assert service.get(ObjectId(job.id)).run_link == own
    service.delete_operation(ObjectId(job.id))


def test_without_the_plugin_no_job_is_queued(dataset):
    words = (
        f"^A job needs the plugin in {fo.config.plugins_dir!r}, where FiftyOne looks for it. "
        f"`python -m fiftyone_gradcam doctor --fix` links it there$"
    )
    with pytest.raises(ValueError, match=words):
        queue.submit("no_such_verb", {"samples": dataset}, dataset)
    assert fg.list_jobs(dataset) == []


def test_a_job_that_is_resumed_starts_where_it_was(dataset, service, submit):
    job = run(service, submit("find_leaks"))
    service.set_progress(ObjectId(job.id), ExecutionProgress(progress=0.4, label="so far"))
    job.refresh().cancel()
    change(service, job, run_link=processes.name_of(2**22 + 1))
    assert (job.state, job.progress) == ("cancelled", 0.4)
    for options, progress in (({"resume": True}, 0.4), ({"resume": False}, 0.0), ({}, 0.0)):
        again = queue.repeat_job(job.id, **options)
        assert (again.state, again.progress, again.message) == ("queued", progress, "")
        again.cancel()
        assert (again.state, again.progress) == ("cancelled", 0.0)
        queue.forget_job(again.id)
    assert queue.given_samples(job.id) == dataset


def test_the_latest_jobs_are_listed(dataset, submit, monkeypatch):
    jobs = [submit("find_leaks") for _ in range(3)]
    monkeypatch.setattr(queue, "MOST", 2)
    assert [job.id for job in fg.list_jobs(dataset)] == [jobs[2].id, jobs[1].id]


def test_the_log_of_a_job_goes_with_it(service, submit):
    job = submit("find_leaks")
    path = log_file(service.get(ObjectId(job.id)))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("Comparing ...")
    job.cancel()
    queue.forget_job(job.id)
    assert not path.exists()
    with pytest.raises(ValueError, match=job.id):
        job.refresh()


def test_what_was_done_at_once_is_listed_as_a_job(dataset, service):
    job = queue.note_done("export_run", "Export 'r'", dataset, {"summary": "written", "run": "r"})
    assert [one.id for one in fg.list_jobs(dataset)] == [job.id]
    assert (job.verb, job.label, job.state) == ("export_run", "Export 'r'", "completed")
    assert (job.progress, job.message) == (1.0, "written")
    assert service.get(ObjectId(job.id)).status.progress == 1.0  # as FiftyOne shows it
    assert job.outcome == {"summary": "written", "run": "r"}
    assert (job.given, job.can_repeat, job.log) == ({}, False, None)
    with pytest.raises(ValueError, match="because it was not started as a job of this plugin"):
        queue.repeat_job(job.id)
    queue.forget_job(job.id)
    assert fg.list_jobs(dataset) == []


def test_settings_that_are_not_set_are_not_handed_on(monkeypatch):
    monkeypatch.setattr(fo.config, "default_ml_backend", None)
    monkeypatch.setattr(fo.config, "max_thread_pool_workers", 3)
    found = queue.settings()
    assert "FIFTYONE_DEFAULT_ML_BACKEND" not in found
    assert found["FIFTYONE_MAX_THREAD_POOL_WORKERS"] == "3"
    assert found["FIFTYONE_DATABASE_URI"] == fo.config.database_uri
    assert found["FIFTYONE_PLUGINS_DIR"] == fo.config.plugins_dir
    assert (found["FIFTYONE_SHOW_PROGRESS_BARS"], found["FIFTYONE_DO_NOT_TRACK"]) == (
        *("false", "true"),
    )
