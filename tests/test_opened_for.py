"""A form stays with the dataset that it was opened for, and an import is shown to its end."""

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from bson import ObjectId
from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionContext, ExecutionProgress, ExecutionResult
from test_job_states import service, submit  # noqa: F401 (fixtures)

from fiftyone_gradcam.app.operators.opened_for import OPENED_FOR
from fiftyone_gradcam.jobs.job import CANCELLED_AND_ENDED

URI = "@gradcam/classifier/"


@pytest.fixture
def dataset(name):
    dataset = fo.Dataset(name)
    dataset.add_sample(fo.Sample("/a.png", ground_truth=fo.Classification(label="a")))
    return dataset


@pytest.fixture
def other(name):
    other = fo.Dataset(f"{name} other")
    other.add_sample(fo.Sample("/b.png"))
    yield other
    other.delete()


def request(operator: str, dataset, **params) -> ExecutionContext:
    own = {"dataset_name": dataset and dataset.name, "params": params}
    return ExecutionContext(request_params=own, operator_uri=URI + operator)


def properties(operator: str, dataset, **params) -> dict:
    ctx = request(operator, dataset, **params)
    return foo.get_operator(URI + operator).resolve_input(ctx).type.properties


@pytest.mark.parametrize("operator", ["split", "fine_tune", "predict", "find_label_issues"])
def test_a_form_refuses_another_dataset_and_names_both(dataset, other, operator):
    field = properties(operator, dataset)[OPENED_FOR]
    assert field.default == str(dataset._doc.id)
    assert isinstance(field.view, types.HiddenView)
    # The App opens another dataset under it.
    kept = {OPENED_FOR: field.default}
    (refused,) = properties(operator, other, **kept).values()
    assert refused.invalid
    for words in (repr(dataset.name), repr(other.name), "Nothing is run"):
        assert words in refused.error_message
    with pytest.raises(ValueError, match="was opened for the dataset"):
        foo.get_operator(URI + operator).execute(request(operator, other, **kept))
    # Back in its own, even if that was renamed, all is as it was.
    dataset.name = f"{dataset.name} renamed"
    assert properties(operator, dataset, **kept)[OPENED_FOR].default == field.default
    dataset.delete()
    (refused,) = properties(operator, other, **kept).values()
    assert "the dataset that was deleted" in refused.error_message


def test_an_import_is_about_no_dataset_that_is_open(dataset):
    assert OPENED_FOR not in properties("import_folders", dataset)
    assert OPENED_FOR not in properties("import_folders", None)


def test_the_box_of_an_import_is_answered_without_a_dataset(service, submit, dataset):  # noqa: F811
    job = submit("import_folders", runs=True, path="/x")
    look, cancel = (foo.get_operator(URI + x) for x in ("import_state", "cancel_import"))
    service.set_progress(ObjectId(job.id), ExecutionProgress(progress=0.25, label="Reading"))
    found = look.execute(request("import_state", None, job=job.id))
    assert (found["state"], found["progress"], found["message"]) == (
        "running",
        0.25,
        "Reading",
    )
    assert (found["has_ended"], found["dataset"]) == (False, None)
    assert cancel.execute(request("cancel_import", None, job=job.id))["state"] == "cancelling"
    assert look.execute(request("import_state", None, job=job.id))["state"] == "cancelling"

    found = look.execute(request("import_state", None, job=job.id))
    assert (found["state_word"], found["can_repeat"]) == ("canceling", True)
    service.set_failed(ObjectId(job.id), result=ExecutionResult(error=CANCELLED_AND_ENDED))
    repeat = foo.get_operator(URI + "repeat_import")
    new = repeat.execute(request("repeat_import", None, job=job.id))
    assert (new["state"], new["label"]) == ("queued", job.label)
    assert new["id"] != job.id
    assert "has not ended" in repeat.execute(request("repeat_import", None, job=new["id"]))["error"]
    service.delete_operation(ObjectId(new["id"]))
    other = submit("find_leaks", runs=True)
    refused = repeat.execute(request("repeat_import", None, job=other.id))
    assert refused["error"].endswith("is not an import")

    # What has not completed has made nothing that could be opened.
    follow = foo.get_operator(URI + "follow_job")
    for failed in (job, other):
        assert [*follow.execute(request("follow_job", dataset, job=failed.id))] == []
    done = submit("import_folders", runs=True, path="/x")
    result = {"summary": "36 images", "dataset": "new"}
    service.set_progress(ObjectId(done.id), ExecutionProgress(progress=1.0, label="36 images"))
    service.set_completed(ObjectId(done.id), result=ExecutionResult(result=result))
    found = look.execute(request("import_state", None, job=done.id))
    assert (found["state"], found["message"], found["dataset"]) == ("completed", "36 images", "new")
    for operator in (look, cancel, repeat):
        for value in ("gone", None, 3, str(ObjectId()), {"$where": "1"}):
            assert operator.execute(request(operator.name, None, job=value))["error"]
