"""What a job's process reports, and what it does when the job was canceled or deleted."""

import os
import threading
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import fiftyone as fo
import pytest
from bson import ObjectId
from fiftyone.operators.executor import ExecutionProgress

import fiftyone_gradcam as fg
from fiftyone_gradcam.jobs import processes, queue, reporter
from fiftyone_gradcam.jobs.reporter import Reporter


@pytest.fixture
def dataset(name):
    return fo.Dataset(name)


@pytest.fixture
def running(service, submit):
    """A job that this process does, and how much of it was done before."""

    def run(**progress) -> fg.Job:
        job = submit("find_leaks")
        if progress:
            service.set_progress(ObjectId(job.id), ExecutionProgress(**progress))
        service.set_running(ObjectId(job.id), run_link=processes.name_of(os.getpid()))
        return job.refresh()

    return run


def test_what_was_done_before_is_shown_until_the_work_reports(running):
    job = running(progress=0.4)
    with Reporter(job.id) as report:
        report.report("Loading")
        assert (job.refresh().progress, job.message) == (0.4, "Loading")
        report(1, 10, "first")
        assert (job.refresh().progress, job.message) == (0.1, "first")
        report.report("words alone")
        assert (job.refresh().progress, job.message) == (0.1, "words alone")
    for before in ({}, {"label": "waiting"}):
        job = running(**before)
        with Reporter(job.id) as report:
            report.report("Loading")
            assert job.refresh().progress == 0.0
            report.report("done", 1.0)  # a short work reports nothing before
            assert job.refresh().progress == 1.0


def test_downloads_are_noted_once_in_a_while(running, monkeypatch):
    job = running(progress=0.4)
    with Reporter(job.id) as report:
        report.note("1 MB")
        assert (job.refresh().progress, job.message) == (0.4, "1 MB")
        monkeypatch.setattr(reporter, "WRITE_SECONDS", 1000.0)
        report.note("2 MB")
        assert job.refresh().message == "1 MB"
        report.cancelled_at = 1.0
        with pytest.raises(fg.CancelledError, match="^Canceled$"):
            report.note("3 MB")
        report.note("what is kept is written")  # it is raised once
        report.cancelled_at = None


def test_a_report_that_comes_too_soon_does_not_delay_the_next(running, monkeypatch):
    job, clock = running(), [5000.0]
    # Not the clock of the process, or the client of the database finds that its time is over.
    monkeypatch.setattr(reporter, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    report = Reporter(job.id)
    shown = []
    for done, now in enumerate((5000.0, 5000.4, 5000.5, 5000.9, 5001.0), start=1):
        clock[0] = now
        report(done, 10, f"{done} of 10")
        shown.append(job.refresh().message)
    assert shown == ["1 of 10", "1 of 10", "3 of 10", "3 of 10", "5 of 10"]


def test_an_expected_time_is_shown_from_the_first_report_on(dataset, service, submit):
    job = queue.submit("find_leaks", {"samples": dataset}, dataset, expected=100.0)
    service.set_running(ObjectId(job.id), run_link=processes.name_of(os.getpid()))
    began = datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=40)
    own = {"_id": ObjectId(job.id)}
    service._repo._collection.update_one(own, {"$set": {"started_at": began}})
    with Reporter(job.id) as report:
        report(0, 10, "started")
        assert job.refresh().seconds_left == pytest.approx(60, abs=5)
        left, at = service.get(ObjectId(job.id)).metadata["left"]
        assert (left, at) == pytest.approx((60, 40), abs=5)
    service.delete_operation(ObjectId(job.id))
    # What is known of an operation may be missing.
    job = submit("find_leaks")
    service._repo._collection.update_one(
        {"_id": ObjectId(job.id)}, {"$set": {"metadata": {}, "started_at": None}}
    )
    report = Reporter(job.id)
    report(0, 10, "started")
    left, at = service.get(ObjectId(job.id)).metadata["left"]
    assert left is None
    assert 0 <= at < 5


def test_the_message_of_an_error_is_the_last_and_its_thread_ends(running, monkeypatch):
    monkeypatch.setattr(reporter, "LOOK_SECONDS", 0.01)
    for error, words in ((ValueError("no memory"), "no memory"), (KeyboardInterrupt(), None)):
        job = running()
        report = Reporter(job.id)
        with report:
            (thread,) = (x for x in threading.enumerate() if x.name == "gradcam-cancel")
            assert thread.daemon  # a process that ends does not wait for it
            report.__exit__(type(error), error, None)
        assert job.refresh().message == (words or type(error).__name__)
        thread.join(60)
        assert not thread.is_alive()
        assert job.state == "running"  # FiftyOne marks it as failed


def test_a_job_that_was_deleted_is_canceled(running, service, monkeypatch):
    monkeypatch.setattr(reporter, "LOOK_SECONDS", 0.01)
    job = running()
    with Reporter(job.id) as report:
        service.delete_operation(ObjectId(job.id))
        while report.cancelled_at is None:
            assert not report.done.wait(0.01)
        with pytest.raises(fg.CancelledError):
            report(1, 2, "half")
    with pytest.raises(ValueError, match=job.id):
        job.refresh()
    with Reporter(ObjectId()) as report:  # deleted before it started
        assert report.before == 0.0


@pytest.mark.parametrize("is_worker", [True, False])
def test_a_worker_that_does_not_end_after_cancel_is_ended(running, is_worker, monkeypatch):
    ended, codes = threading.Event(), []

    def end(code: int) -> None:
        codes.append(code)
        report.done.set()  # the thread ends, instead of the process
        ended.set()

    monkeypatch.setattr(reporter.os, "_exit", end)
    monkeypatch.setattr(reporter, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(reporter, "PATIENCE_SECONDS", -1.0)
    monkeypatch.setenv("FIFTYONE_GRADCAM_WORKER", "1" if is_worker else "")
    job = running()
    with Reporter(job.id) as report:
        job.cancel()
        if is_worker:
            assert ended.wait(60)
            assert job.refresh().state == "cancelled"
            assert job.message == "Canceled. Results written before are kept"
        else:
            while report.cancelled_at is None:
                assert not report.done.wait(0.01)
            assert not ended.wait(0.1)
    assert codes == [1] * is_worker


def test_a_worker_that_ends_its_work_after_cancel_may_take_its_time(running, monkeypatch):
    codes = []
    monkeypatch.setattr(reporter.os, "_exit", codes.append)
    monkeypatch.setattr(reporter, "LOOK_SECONDS", 0.01)
    monkeypatch.setenv("FIFTYONE_GRADCAM_WORKER", "1")
    job = running()
    with Reporter(job.id) as report:
        job.cancel()
        while report.cancelled_at is None:
            assert not report.done.wait(0.01)
        first = report.cancelled_at
        with pytest.raises(fg.CancelledError):
            report(1, 2, "half")
        monkeypatch.setattr(reporter, "PATIENCE_SECONDS", -1.0)
        assert not report.done.wait(0.1)
        assert (report.cancelled_at, job.refresh().state, codes) == (first, "cancelling", [])
    assert job.refresh().state == "cancelled"
