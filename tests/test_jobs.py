"""Jobs: verbs in a process of their own, through FiftyOne's delegated operations."""

import os
import signal
import time

import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import psutil
import pytest
from bson import ObjectId
from conftest import QUICK, REPOSITORY, kill_worker, save_digits, worker_of
from fiftyone.operators.delegated import DelegatedOperationService
from forking import Python, run_python
from made_runs import make_run

import fiftyone_gradcam as fg
from fiftyone_gradcam.jobs import calls, fork_client, processes, queue

LONG = {**QUICK, "epochs": 4000}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = save_digits(tmp_path_factory.mktemp("jobs") / "digits", per_class=30)
    dataset = fg.import_folders(str(root), "jobs")
    fg.split(dataset)
    make_run(dataset, "made", files=False)
    yield dataset
    dataset.delete()


def until(condition, seconds: float = 60.0):
    """Wait until something is true, and return it."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)
    return found


def is_learning(job: fg.Job) -> bool:
    return ": train loss" in job.refresh().message


def test_a_call_survives_being_written_down(dataset):
    view = dataset.match_tags("val").sort_by("filepath").limit(5)
    recipe = fg.Recipe(backbone="small_cnn", weights="none", epochs=3)
    given = {
        "samples": view, "recipe": recipe, "heatmaps": ("predicted", "label"), "seed": np.int64(3),
        "fractions": {"train": 0.5, "val.": 0.5}, "path": REPOSITORY, "overwrite": False, "x": None,
        "shares": np.array([[1.5, 2.0], [0.0, -1.0]]),
    }  # fmt: skip
    found = calls.decode(calls.encode(given))
    assert found["samples"].values("id") == view.values("id")
    assert found["recipe"] == recipe
    assert found["shares"] == [[1.5, 2.0], [0.0, -1.0]]
    assert found["heatmaps"] == ["predicted", "label"]
    assert found["fractions"] == {"train": 0.5, "val.": 0.5}
    assert (found["seed"], found["path"], found["overwrite"], found["x"]) == (
        3, str(REPOSITORY), False, None,
    )  # fmt: skip
    assert calls.decode(calls.encode({"samples": dataset}))["samples"] == dataset
    selected = dataset.select(view.values("id")[:2])
    assert len(calls.decode(calls.encode({"samples": selected}))["samples"]) == 2
    with pytest.raises(ValueError, match="'device'.* object"):
        calls.encode({"device": object()})


def test_a_training_as_a_job_is_the_same_as_in_the_foreground(dataset):
    job = fg.fine_tune(dataset, "by_job", **QUICK, delegate=True)
    assert (job.verb, job.label) == ("fine_tune", "Train 'by_job'")
    assert job.state in ("queued", "running")
    done = job.wait(120)
    assert (done.state, done.progress, done.outcome["run"]) == ("completed", 1.0, "by_job")
    run = fg.load_run(dataset, "by_job")
    assert done.message == f"Saved {run}"
    own = fg.fine_tune(dataset, "by_hand", **QUICK)
    assert [row["train_loss"] for row in run.history] == pytest.approx(
        [row["train_loss"] for row in own.history], rel=1e-4
    )
    assert fg.list_jobs(dataset)[0].id == job.id
    until(lambda: not processes.is_alive(worker_of(job)))  # nothing is left behind


def test_jobs_of_a_dataset_are_done_in_order_and_each_sees_what_the_last_one_left(dataset):
    first = fg.fine_tune(dataset, "first", **QUICK, delegate=True)
    second = fg.predict(dataset, "first", "second_field", delegate=True)
    third = fg.find_label_issues(dataset, folds=2, **{**QUICK, "epochs": 1}, delegate=True)
    seen = []
    while not (third := third.refresh()).has_ended:
        states = [job.refresh().state for job in (first, second, third)]
        assert states.count("running") <= 1
        seen += [states] if states not in seen else []
        time.sleep(0.05)
    ends = [fg.load_job(job.id) for job in (first, second, third)]
    assert [job.state for job in ends] == ["completed"] * 3
    assert ["completed", "running", "queued"] in seen
    dataset.reload()
    assert len(dataset.exists("second_field")) == 90
    view = calls.decode(ends[2].outcome["view"])["view"]
    assert view.values("id") == dataset.sort_by("label_quality").values("id")


def test_cancel_keeps_the_best_so_far_and_resume_goes_on(dataset):
    job = fg.fine_tune(dataset, "cancelled", **LONG, delegate=True)
    until(lambda: is_learning(job))
    assert job.cancel().state == "cancelling"
    with pytest.raises(fg.CancelledError, match="the best weights are kept as run 'cancelled'"):
        job.wait(30)
    run = fg.load_run(dataset, "cancelled")
    assert 0 < len(run.history) < 4000
    again = queue.repeat_job(job.id, resume=True, epochs=len(run.history) + 2)
    again.wait(120)
    assert len(fg.load_run(dataset, "cancelled").history) == len(run.history) + 2


def test_a_queued_job_can_be_cancelled(dataset):
    first = fg.fine_tune(dataset, "in_the_way", **LONG, delegate=True)
    second = fg.predict(dataset, "made", "never", delegate=True)
    found = second.cancel()
    assert (found.state, found.message) == ("cancelled", "Canceled before it started")
    until(lambda: is_learning(first))
    first.cancel()
    until(lambda: first.refresh().has_ended)
    until(lambda: not any(processes.is_alive(worker_of(job)) for job in (first, second)))
    dataset.reload()
    assert not dataset.has_sample_field("never")


def test_predictions_that_were_cancelled_stay_and_are_named_as_a_part(dataset, monkeypatch):
    many = dataset.clone("jobs many")
    try:
        for _ in range(5):
            many.add_samples([s.copy() for s in dataset.iter_samples()])
        fg.fine_tune(many, "quick", **QUICK)
        maps = {"heatmaps": ("predicted", "label"), "heatmap_field": "part_cam"}
        job = fg.predict(many, "quick", "part", method="scorecam", delegate=True, **maps)
        until(lambda: job.refresh().progress > 0.02)
        job.cancel()
        with pytest.raises(fg.CancelledError, match=r"\d+ of 540 images have predict") as reported:
            job.wait(60)
        many.reload()
        count = len(many.exists("part"))
        assert f"Canceled: {count} of 540 images" in str(reported.value)
        assert count < 540
        assert many.get_field("part").info["partial"] == {"samples": count, "of": 540}
    finally:
        many.delete()


def test_a_job_whose_process_was_killed_is_reported_as_lost_and_can_be_resumed(dataset):
    job = fg.fine_tune(dataset, "killed", **LONG, delegate=True)
    until(lambda: is_learning(job))
    kill_worker(job)
    lost = until(lambda: (found := job.refresh()).has_ended and found)
    assert lost.state == "lost"
    assert "was killed" in lost.message
    with pytest.raises(fg.JobError, match="was killed"):
        job.wait(5)
    assert DelegatedOperationService().get(ObjectId(job.id)).run_state == "failed"
    with pytest.raises(ValueError, match="'killed' .*was interrupted"):
        fg.load_run(dataset, "killed")
    again = queue.repeat_job(job.id, resume=True)
    until(lambda: is_learning(again))
    epoch = int(again.refresh().message.split()[1].rstrip(":"))
    again.cancel()
    until(lambda: again.refresh().has_ended)
    dataset.reload()
    run = fg.load_run(dataset, "killed")
    assert [row["epoch"] for row in run.history] == list(range(1, len(run.history) + 1))
    assert len(run.history) >= epoch


def test_a_job_that_fails_tells_the_message_of_the_verb(dataset, tmp_path):
    wrong = tmp_path / "wrong.pth"
    wrong.write_text("no weights")
    choices = {**QUICK, "backbone": "squeezenet1_1", "weights": str(wrong)}
    job = fg.fine_tune(dataset, "wrong", **choices, delegate=True)
    with pytest.raises(fg.JobError, match="is not a file of weights that torch can load safely"):
        job.wait(60)
    failed = job.refresh()
    assert failed.state == "failed"
    assert failed.progress < 1
    queue.forget_job(job.id)
    assert job.id not in [x.id for x in fg.list_jobs(dataset)]
    assert not os.path.exists(failed.log)
    with pytest.raises(ValueError, match="No operation"):
        job.refresh()


def test_an_import_as_a_job_makes_the_dataset(tmp_path, name):
    root = save_digits(tmp_path / "d", per_class=5)
    job = fg.import_folders(str(root), name, delegate=True)
    assert job.wait(60).outcome["dataset"] == name
    assert len(fo.load_dataset(name)) == 15


def test_what_a_job_cannot_do_is_refused_at_once(dataset):
    before = len(fg.list_jobs(dataset))
    with pytest.raises(ValueError, match="progress"):
        fg.predict(dataset, "made", progress=print, delegate=True)
    with pytest.raises(ValueError, match="'heatmap_classes' cannot be passed to a job"):
        fg.predict(dataset, "made", heatmap_classes=(object(),), delegate=True)
    with pytest.raises(TypeError, match="Expected a FiftyOne dataset"):
        fg.predict([1, 2], "made", delegate=True)
    with pytest.raises(TypeError, match="run"):
        fg.predict(dataset, delegate=True)
    with pytest.raises(ValueError, match="no training run 'gone'"):
        fg.predict(dataset, "gone", delegate=True)
    with pytest.raises(ValueError, match="no option 'colour'"):
        fg.predict(dataset, "squeezenet1_1", colour="red", delegate=True)
    for options, error, message in (
        ({"key": "bad key"}, ValueError, "is not a valid run key"),
        ({"epochz": 3}, ValueError, "Did you mean 'epochs'"),
        ({"weights": "/gone.pth"}, FileNotFoundError, "No weights file at '/gone.pth'"),
    ):
        with pytest.raises(error, match=message):
            fg.fine_tune(dataset, **{"key": "new", **options}, delegate=True)
    with pytest.raises(ValueError, match="'nonsense' is not the ID of a job"):
        fg.load_job("nonsense")
    assert len(fg.list_jobs(dataset)) == before


def test_a_job_outlives_the_session_that_began_it(dataset, tmp_path):
    """The database too: it must not end with the session that started it."""
    not_own = ("FIFTYONE_PRIVATE_DATABASE_PORT", "FIFTYONE_DATABASE_URI")
    own = {k: v for k, v in os.environ.items() if k not in not_own}
    own |= {"FIFTYONE_DATABASE_DIR": str(tmp_path / "db"), "PYTHONPATH": str(REPOSITORY)}
    settings = (  # read again, for what is imported already has read others
        "import os, sys, time, fiftyone as fo, fiftyone_gradcam as fg\n"
        "fo.config.database_uri = None\n"
        "fo.config.database_dir = os.environ['FIFTYONE_DATABASE_DIR']\n"
    )
    code = (
        "ds = fg.import_folders(sys.argv[1], 'outlives'); fg.split(ds)\n"
        f"job = fg.fine_tune(ds, 'r', **{ {**QUICK, 'epochs': 40}!r}, delegate=True)\n"
        "while ': train loss' not in job.refresh().message: time.sleep(.1)\n"
        "print('job', job.id); sys.stdout.flush(); os._exit(0)\n"
    )
    root = save_digits(tmp_path / "d", per_class=20)
    session = Python(settings + code, str(root), environment=own)
    # The end of what it prints is no sign: the database has inherited where it prints to.
    while not (line := session.stdout.readline()).startswith("job "):
        assert line, session.stderr.read()
    assert session.wait(60) == 0
    id = line.split()[1]
    code = (
        "print(fg.load_job(sys.argv[1]).wait(120).state)\n"
        "print(len(fg.load_run(fo.load_dataset('outlives'), 'r').history))\n"
        "fo.delete_dataset('outlives')\n"
    )
    printed = run_python(settings + code, id, environment=own, timeout=180)
    assert printed.split()[-2:] == ["completed", "40"]
    for file in (session.stdin, session.stdout, session.stderr):
        file.close()


def test_a_worker_is_no_descendant_of_the_process_that_began_it(dataset):
    """FiftyOne ends its server with all descendants."""
    job = fg.fine_tune(dataset, "apart", **LONG, delegate=True)
    pid = int(worker_of(job).rsplit(" ", 2)[1])
    assert pid not in [p.pid for p in psutil.Process().children(recursive=True)]
    until(lambda: is_learning(job))
    assert os.getsid(pid) == pid
    job.cancel()
    until(lambda: job.refresh().has_ended)


@pytest.mark.skipif(not fork_client.can_fork(), reason="workers are forked on Linux alone")
def test_workers_after_the_first_are_forked_by_a_process_that_has_imported_all(dataset):
    fg.find_leaks(dataset, near=False, delegate=True).wait(60)
    jobs = [fg.find_leaks(dataset, near=False, delegate=True) for _ in range(3)]
    parents = {psutil.Process(int(worker_of(job).rsplit(" ", 2)[1])).ppid() for job in jobs}
    (parent,) = parents
    assert parent not in (os.getpid(), 1)
    assert psutil.Process(parent).terminal() is None
    assert [job.wait(60).state for job in jobs] == ["completed"] * 3
    os.kill(parent, signal.SIGKILL)
    until(lambda: not psutil.pid_exists(parent))
    job = fg.find_leaks(dataset, near=False, delegate=True)  # as if nothing had happened
    assert job.wait(60).state == "completed"


def test_names_of_processes():
    own = processes.name_of(os.getpid())
    assert processes.is_alive(own) is True
    host, pid, born = own.rsplit(" ", 2)
    assert processes.is_alive(f"{host} {pid} {float(born) - 100}") is False  # a number used again
    assert processes.is_alive(f"elsewhere {pid} {born}") is None
    assert processes.is_alive(None) is None


def test_an_orchestrator_does_what_was_scheduled(dataset):
    """What "Schedule" queues has the form's fields, and no worker of the plugin's."""
    service = DelegatedOperationService()
    params = {"label_field": "ground_truth", "key": "scheduled", "backbone": "small_cnn",
              "epochs": 1, "image_size": 16, "advanced": True}  # fmt: skip
    foo.execute_operator(
        "@gradcam/classifier/fine_tune",
        {"dataset": dataset, "params": params},
        request_delegation=True,
    )
    job = fg.list_jobs(dataset)[0]
    assert (job.state, job.can_repeat, job.label) == ("queued", False, "Train 'scheduled'")
    service.execute_queued_operations(operator="@gradcam/classifier/fine_tune")
    done = job.wait(60)
    assert done.message == f"Saved {fg.load_run(dataset, 'scheduled')}"
    with pytest.raises(ValueError, match="was not started as a job of this plugin"):
        queue.repeat_job(job.id)
    queue.forget_job(job.id)
