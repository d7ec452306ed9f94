"""Jobs as the database knows them, without processes that do them."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from bson import ObjectId
from fiftyone.operators.delegated import DelegatedOperationService
from fiftyone.operators.executor import ExecutionResult, ExecutionRunState

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.basis import all_labels
from fiftyone_gradcam.jobs import processes, queue, reporter
from fiftyone_gradcam.jobs.job import CANCELLED, CANCELLED_AND_ENDED, log_file
from fiftyone_gradcam.jobs.pace import Pace
from fiftyone_gradcam.jobs.reporter import Reporter


@pytest.fixture
def dataset(name):
    return fo.Dataset(name)


@pytest.fixture
def service():
    return DelegatedOperationService()


@pytest.fixture
def submit(dataset, monkeypatch, service):
    """Queue jobs that nobody does: this process stands for their workers."""
    own = processes.name_of(os.getpid())
    monkeypatch.setattr(processes, "start_worker", lambda *args: own)
    made = []

    def submit(verb: str = "find_leaks", runs: bool = False, **given) -> fg.Job:
        job = queue.submit(verb, {"samples": dataset, **given}, dataset)
        made.append(ObjectId(job.id))
        if runs:
            service.set_running(made[-1], run_link=own)
        return job.refresh()

    yield submit
    for id in made:
        service._repo._collection.delete_one({"_id": id})


def change(service, job: fg.Job, **values) -> fg.Job:
    service._repo._collection.update_one({"_id": ObjectId(job.id)}, {"$set": values})
    return job.refresh()


def test_time_that_is_left_is_what_the_rest_takes_at_the_same_pace(service, submit):
    job = submit(runs=True)
    began = datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=60)
    change(service, job, started_at=began)
    assert (job.state, job.seconds_left) == ("running", None)  # nothing is known as yet
    with Reporter(job.id) as report:
        report(0, 10, "started")
        assert job.refresh().seconds_left is None
        report.pace = Pace()
        report.pace.update(0.0, 0.0)  # as if it had reported this at once
        report.written = 0.0
        report(2, 10, "a fifth")
    job.refresh()
    assert (job.progress, job.message) == (0.2, "a fifth")
    assert job.seconds == pytest.approx(60, abs=5)
    # What it takes at the same pace; it stays until the job reports more.
    shown = job.seconds_left
    assert shown == pytest.approx(240, abs=20)
    assert job.refresh().seconds_left == shown
    earlier = began - timedelta(seconds=shown)  # it should have ended by now
    assert change(service, job, started_at=earlier).seconds_left is None
    change(service, job, started_at=began)
    service.set_completed(ObjectId(job.id), result=ExecutionResult(result={"summary": "done"}))
    job.refresh()
    assert (job.state, job.progress, job.seconds_left) == ("completed", 1.0, None)
    assert job.outcome == {"summary": "done"}
    assert (job.cancel().state, job.outcome) == ("completed", {"summary": "done"})  # too late
    ended = began + timedelta(seconds=90)
    assert change(service, job, completed_at=ended).seconds == pytest.approx(90, abs=1e-3)


def test_a_job_has_a_log_as_soon_as_its_process_has_one(service, submit):
    job = submit(runs=True)
    assert job.log is None
    path = log_file(service.get(ObjectId(job.id)))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("Comparing ...")
    assert job.refresh().log == str(path)
    path.unlink()


@pytest.mark.parametrize(
    ("error", "lives", "state"),
    [
        (CANCELLED, True, "cancelling"),
        (CANCELLED, False, "cancelled"),
        (CANCELLED_AND_ENDED, True, "cancelled"),
        ("ValueError: wrong", True, "failed"),
    ],
)
def test_what_became_of_a_job_that_did_not_complete(service, submit, error, lives, state):
    job = submit(runs=True)
    if not lives:
        host, pid, born = processes.name_of(os.getpid()).rsplit(" ", 2)
        change(service, job, run_link=f"{host} {pid} {float(born) - 100:.2f}")
    service.set_failed(ObjectId(job.id), result=ExecutionResult(error=error))
    job.refresh()
    assert job.state == state
    assert job.has_ended == (state != "cancelling")
    assert job.message == {"cancelling": "Canceling ...", "failed": error}.get(state, "")


def test_a_job_whose_process_is_gone_is_lost(service, submit):
    job = submit(runs=True)
    change(service, job, run_link=processes.name_of(2**22 + 1))
    assert job.state == "lost"
    assert "was killed" in job.message
    assert service.get(ObjectId(job.id)).run_state == ExecutionRunState.FAILED


def test_the_oldest_of_a_target_is_next(dataset, service, submit):
    first, second = submit(), submit()
    target = service.get(ObjectId(first.id)).metadata["target"]
    assert str(queue.next_operation(target).id) == first.id
    assert queue.next_operation(f"not {target}") is None
    first.cancel()
    assert (first.state, first.message) == ("cancelled", "Canceled before it started")
    assert str(queue.next_operation(target).id) == second.id
    assert [job.id for job in fg.list_jobs(dataset)] == [second.id, first.id]


def test_operations_of_others_are_no_jobs_of_this_plugin(dataset, service, submit):
    job = submit()
    theirs = submit()
    change(service, theirs, operator="@somebody/else/find_leaks")
    assert [own.id for own in fg.list_jobs(dataset)] == [job.id]


def test_only_jobs_that_have_ended_are_repeated_or_forgotten(dataset, service, submit):
    job = submit(near=False)
    with pytest.raises(ValueError, match="it cannot be run again, because it has not ended"):
        queue.repeat_job(job.id)
    queue.forget_job(job.id)
    assert [own.id for own in fg.list_jobs(dataset)] == [job.id]
    job.cancel()
    again = queue.repeat_job(job.id, device="cpu")
    assert (again.verb, again.given["near"], again.given["device"]) == ("find_leaks", False, "cpu")
    queue.forget_job(job.id)
    assert [own.id for own in fg.list_jobs(dataset)] == [again.id]
    again.cancel()
    queue.forget_job(again.id)


def test_a_job_whose_process_cannot_be_started_is_not_queued(dataset, submit, monkeypatch):
    def fail(*args):
        raise OSError("no processes left")

    monkeypatch.setattr(processes, "start_worker", fail)
    with pytest.raises(OSError, match="no processes left"):
        submit()
    assert fg.list_jobs(dataset) == []


def test_a_reporter_writes_once_in_a_while_and_at_the_end(service, submit, monkeypatch):
    job = submit(runs=True)
    monkeypatch.setattr(reporter, "WRITE_SECONDS", 1000.0)
    clock = [5000.0]
    # Not the clock of the process, or the client of the database finds that its time is over.
    monkeypatch.setattr(reporter, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    reported = Reporter(job.id)
    reported(1, 4, "first")
    assert (job.refresh().message, job.progress) == ("first", 0.25)
    reported(2, 4, "too soon")
    assert (job.refresh().message, job.progress) == ("first", 0.25)
    clock[0] += 1000.0
    reported(3, 4, "later")
    assert (job.refresh().message, job.progress) == ("later", 0.75)
    reported(4, 4, "the last")
    assert (job.refresh().message, job.progress) == ("the last", 1.0)
    reported(0, 0, "nothing to do")
    assert (job.refresh().message, job.progress) == ("nothing to do", 1.0)  # it never decreases
    reported(6, 4, "more than all")
    assert job.refresh().progress == 1.0
    reported.report("words alone")
    assert (job.refresh().message, job.progress) == ("words alone", 1.0)


def test_a_reporter_stores_the_share_that_is_done(service, submit):
    for done, total, share in (
        (1, 1, 1),
        (0, 0, 0),
        (0, 1, 0),
        (1, 2, 0.5),
        (5, 4, 1),
        (1, 8, 1 / 8),
    ):
        job = submit(runs=True)
        reported = Reporter(job.id)
        reported(done, total, "words")
        assert (job.refresh().message, job.progress) == ("words", share), (done, total)
        reported.report("words alone")
        assert (job.refresh().message, job.progress) == ("words alone", share)


def test_a_reporter_ends_what_was_cancelled_once(service, submit, monkeypatch):
    monkeypatch.setattr(reporter, "LOOK_SECONDS", 0.01)
    job = submit(runs=True)
    reported = Reporter(job.id)

    def work() -> None:
        with reported:
            reported(1, 4, "first")
            assert job.cancel().state == "cancelling"
            while reported.cancelled_at is None:
                assert not reported.done.wait(0.01)
            with pytest.raises(fg.CancelledError):
                reported(2, 4, "second")
            reported(3, 4, "what is kept is written")  # what ends the work in good order goes on
            raise fg.CancelledError("Kept")

    with pytest.raises(fg.CancelledError, match="Kept"):
        work()
    assert (job.refresh().state, job.message) == ("cancelled", "Kept")


@pytest.mark.parametrize(("verb", "rests"), [("compare_runs", True), ("find_leaks", False)])
def test_a_job_keeps_which_labels_its_outcome_rests_on(dataset, submit, monkeypatch, verb, rests):
    """Of what keeps nothing in the dataset that says so; or nobody could tell that it is old."""
    dataset.add_sample(fo.Sample("/0.png", ground_truth=fo.Classification(label="a")))
    operator, job = foo.get_operator(f"@gradcam/classifier/{verb}"), submit(verb, True, a=1, b=2)
    done = staticmethod(lambda samples, progress: progress(1, 1, "looked"))
    monkeypatch.setattr(type(operator), "function", done)
    monkeypatch.setattr(type(operator), "outcome", lambda *_: {"summary": "done"})
    ctx = SimpleNamespace(request_params={"run_doc": job.id})
    outcome = operator._work(ctx, {"samples": dataset})
    known = {"rests_on": all_labels(dataset)} if rests else {}
    assert outcome == {"summary": "done", **known}
    assert job.refresh().message == "done"


def test_a_process_that_has_ended_does_not_live_though_nobody_has_asked_for_it():
    process = subprocess.Popen([sys.executable, "-c", "print('here')"], stdout=subprocess.PIPE)
    name = processes.name_of(process.pid)
    process.stdout.read()  # until it has ended, or is about to
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert processes.is_alive(name) is False
    process.wait()
    assert processes.is_alive(name) is False


def test_a_worker_that_ends_forgets_itself_and_the_dead_alone():
    own, dead = processes.name_of(os.getpid()), processes.name_of(2**22 + 1)
    parent = processes.name_of(os.getppid())
    for worker in (own, dead, parent):
        processes._mark("a target", worker).touch()
    processes._mark("another target", own).touch()
    assert processes.has_worker("a target")
    processes.forget_worker("a target", own)
    assert processes._mark("a target", parent).exists()
    assert not processes._mark("a target", own).exists()
    assert not processes._mark("a target", dead).exists()
    assert processes._mark("another target", own).exists()
    processes.forget_worker("a target", parent)
    assert not processes.has_worker("a target")
    processes.forget_worker("another target", own)
