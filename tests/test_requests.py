"""What requests to the App's server may ask of operators, and what comes of rubbish."""

import json
import os
import random
import re

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from bson import ObjectId, json_util
from conftest import save_digits
from fiftyone.operators import types
from fiftyone.operators.delegated import DelegatedOperationService
from fiftyone.operators.executor import ExecutionContext, ExecutionRunState
from pymongo.errors import OperationFailure
from test_operators import CALLS, OF_LABELS, OF_RUNS, URI, VERBS

import fiftyone_gradcam as fg
from fiftyone_gradcam.app.operators.params import KINDS, KINDS_IN, check_params, faults
from fiftyone_gradcam.app.operators.verb import _words
from fiftyone_gradcam.dataset.stages import check_stages
from fiftyone_gradcam.jobs import calls

RUBBISH = [
    3, -1, 1e308, float("nan"), float("inf"), True, "", "x" * 100_000, "../../x", "a\0b", [], {},
    [[[]]], {"$where": "1"}, [1, None], "__import__('os')", 10**400, ["a"] * 3, {"a": {"b": []}},
]  # fmt: skip
OF_IMPORTS = ("follow_job", "import_state", "cancel_import", "repeat_import")  # on no dataset
NO_DATASET = ("import_folders",)
RUNS = "fiftyone.core.stages."
SHOWN = ("plan", "preview", "view_target")  # nothing is written into them, or FiftyOne reads it


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = save_digits(tmp_path_factory.mktemp("requests") / "digits", per_class=5)
    dataset = fg.import_folders(str(root), "requests")
    fg.split(dataset)
    yield dataset
    dataset.delete()


@pytest.fixture(scope="module")
def other(dataset):
    other = dataset.clone("requests other")
    yield other
    other.delete()


@pytest.fixture
def ran(monkeypatch):
    """Commands that were run."""
    calls_of_system = []
    monkeypatch.setattr(os, "system", calls_of_system.append)
    return calls_of_system


def request(verb: str, dataset, params: object, **more) -> ExecutionContext:
    own = {"dataset_name": dataset.name if dataset is not None else None}
    return ExecutionContext(
        request_params={**own, "params": params, **more}, operator_uri=URI + verb
    )


def refusals(verb: str, dataset, params: object, **more) -> list[str]:
    """Messages for which nothing would be executed."""
    inputs = foo.get_operator(URI + verb).resolve_input(request(verb, dataset, params, **more))
    fields = inputs.type.properties.values()
    return [field.error_message for field in fields if field.invalid]


def state(dataset) -> tuple:
    return (
        dataset.count_sample_tags(), list(dataset.get_field_schema()), dataset.list_runs(),
        len(DelegatedOperationService().list_operations()), fo.list_datasets(),
    )  # fmt: skip


@pytest.mark.parametrize("verb", [*VERBS, *OF_RUNS, *OF_LABELS])
def test_values_of_the_wrong_kind_are_refused_by_name(verb):
    known = KINDS | KINDS_IN.get(verb, {})
    for name, kind in known.items():
        for value in RUBBISH:
            if value == "" or kind.fits(value):
                check_params(verb, {name: value})
                continue
            with pytest.raises(ValueError, match=f"^{name} must be {kind.words}, not ") as caught:
                check_params(verb, {name: value})
            assert len(str(caught.value)) < 200
    assert [x for x in RUBBISH if KINDS["epochs"].fits(x)] == [3, -1]
    assert [x for x in RUBBISH if KINDS["alpha"].fits(x)] == [3, -1]
    assert [x for x in RUBBISH if KINDS["near"].fits(x)] == [True]
    assert [x for x in RUBBISH if KINDS["run"].fits(x)] == ["", "../../x", "__import__('os')"]
    assert [x for x in RUBBISH if KINDS["heatmap_classes"].fits(x)] == [[], ["a"] * 3]


@pytest.mark.parametrize("verb", [*VERBS, *OF_RUNS, *OF_LABELS])
def test_rubbish_ends_in_clear_errors_and_nothing_is_done(dataset, verb, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = state(dataset)
    operator = foo.get_operator(URI + verb)
    known = KINDS | KINDS_IN.get(verb, {})
    draw = random.Random(verb)
    pairs = [(name, value) for name in [*known, "unknown"] for value in RUBBISH]
    for name, value in draw.sample(pairs, 25):
        for message in refusals(verb, dataset, {name: value}):
            assert message
            assert "make no sense" not in message
    # Values of the right kind, which no form offers.
    texts = [name for name, kind in known.items() if kind.fits("../../x")]
    for name in draw.sample(texts, 8):
        for message in refusals(verb, dataset, {name: "../../x"}):
            assert message
            assert "make no sense" not in message
    for value in RUBBISH:
        with pytest.raises(PermissionError, match="is for jobs that this plugin has"):
            operator.execute(request(verb, dataset, {"call": value}))
    assert state(dataset) == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("verb", "params", "message"),
    [
        ("fine_tune", {"epochs": "many"}, "“Epochs” must be a whole number, not 'many'"),
        ("fine_tune", {"epochs": 2.5}, "“Epochs” must be a whole number, not 2.5"),
        ("fine_tune", {"epochs": 0}, "Epochs must be at least 1, not 0"),
        ("fine_tune", {"dropout": 1.5, "advanced": True}, "Dropout must be at most 0.99, not 1.5"),
        ("fine_tune", {"learning_rate": float("nan")}, "“Learning rate” must be a number, not nan"),
        ("fine_tune", {"backbone": "nonsense"}, "Network: 'nonsense' is not among automatic, "),
        ("fine_tune", {"label_field": "filepath"}, "Label field: 'filepath' is not among ground_"),
        (
            "fine_tune",
            {"key": ["a"]},
            "“Name of the run” must be a string of at most 4096 ch",
        ),
        (
            "fine_tune",
            {"key": "x" * 5000},
            "“Name of the run” must be a string of at most 40",
        ),
        ("predict", {"scale": 0.5}, "“Heatmap scale” must be a string"),
        (
            "predict",
            {"heatmap_classes": "cat"},
            "“Heatmaps of these classes too” must be a lis",
        ),
        ("predict", {"advanced": "yes"}, "“More choices” must be true or false, not 'yes'"),
        ("split", {"train": 1.5}, "Training share must be at most 1, not 1.5"),
        ("import_folders", {"path": "a\0"}, "“Folder” must be a string"),
        ("split", {"groups": "no field"}, "Keep together: 'no field' is not among"),
    ],
)
def test_messages_name_the_parameter_and_its_value(dataset, verb, params, message):
    found = refusals(verb, dataset, params)
    assert any(x.startswith(message) for x in found), found
    with pytest.raises(Exception, match="Validation error") as caught:
        foo.execute_operator(URI + verb, {"dataset": dataset, "params": params})
    assert found[0] in str(caught.value)


def test_what_is_wanting_is_named(dataset):
    operator = foo.get_operator(URI + "export_run")
    with pytest.raises(ValueError, match="Export run needs the parameter 'run'"):
        operator.execute(request("export_run", dataset, {}))
    assert refusals("split", None, {}) == [
        "Split into train, val and test works on a dataset. Open one first"
    ]
    (gone,) = refusals("split", None, {}, dataset_name="gone")
    assert "gone" in gone
    assert refusals("import_folders", None, {}) == ["Folder is missing"]
    with pytest.raises(ValueError, match="Parameters must be names and values, not a list"):
        check_params("split", [])


@pytest.mark.parametrize("verb", [x for x in (*VERBS, *OF_RUNS, *OF_LABELS) if x not in NO_DATASET])
def test_a_name_that_is_no_text_is_refused_in_words(verb):
    """Half a letter, as JSON may have one."""
    asked = {"dataset_name": "\ud800", "params": {}}
    context = ExecutionContext(asked, operator_uri=URI + verb)
    fields = foo.get_operator(URI + verb).resolve_input(context).type.properties
    words = [one.error_message for one in fields.values() if one.invalid]
    assert any("Reload the App, and choose them again" in one for one in words), words


def test_all_fields_of_all_forms_are_known(dataset):
    """Or a value of another type would reach the code of a form."""
    unknown = set()
    on = {"advanced": True, "weights": "file"}
    for verb in [*VERBS, *OF_RUNS, *OF_LABELS]:
        known = KINDS | KINDS_IN.get(verb, {})
        for more in ({}, {"way": "counts"}, {"way": "folds"}, {"label_from": "pattern"},
                     {"label_from": "table"}, {"groups": "near duplicates"},
                     {"run": "pretrained classifier"}):  # fmt: skip
            context = request(verb, dataset, {**on, **more, "path": "/gone", "folder": "/"})
            fields = foo.get_operator(URI + verb).resolve_input(context).type.properties
            for name, field in fields.items():
                kind = field.type
                if field.invalid or isinstance(kind, types.Void) or name in SHOWN:
                    continue
                if name not in known:
                    unknown.add((verb, name))
                    continue
                examples = {types.Boolean: True, types.String: "x", types.List: ["x"]}
                examples |= {types.File: {"absolute_path": "x"}, types.Object: {}}
                value = next((x for t, x in examples.items() if isinstance(kind, t)), None)
                if isinstance(kind, types.Number):
                    value = 1 if kind.int else 0.5
                if isinstance(kind, types.Enum):
                    value = kind.values[0] if kind.values else "x"
                assert known[name].fits(value), (verb, name, value)
    assert unknown == set()


def serialized(view) -> list[dict]:
    return json_util.loads(json_util.dumps(view._serialize()))


def test_a_call_is_taken_from_the_queue_alone(dataset, other, monkeypatch):
    call = calls.encode({"samples": dataset, "label_field": "ground_truth"})
    operator, uri = foo.get_operator(URI + "split"), URI + "split"
    before = state(dataset)
    forged = {"delegated": True, "run_doc": str(ObjectId())}
    for more in ({}, forged, {"delegated": True, "request_delegation": True}):
        assert refusals("split", dataset, {"call": call}, **more) == [
            "The parameter 'call' is for jobs that this plugin has queued. Leave it out, and pass "
            "the values of the form"
        ]
        with pytest.raises(PermissionError):
            operator.execute(request("split", dataset, {"call": call}, **more))
    for delegate in (False, True):
        with pytest.raises(Exception, match="Validation error.*is for jobs that this plugin"):
            foo.execute_operator(
                uri, {"dataset": dataset, "params": {"call": call}}, request_delegation=delegate
            )
    assert state(dataset) == before
    # An operation that somebody else has queued is none of ours, whoever executes it.
    service = DelegatedOperationService()
    params = {"dataset_name": dataset.name, "delegated": True, "params": {"call": call}}
    context = ExecutionContext(request_params=params)
    operation = service.queue_operation(operator=uri, context=context, metadata={})
    try:
        result = service.execute_operation(operation)
        assert "is for jobs that this plugin has queued" in result.error
        # Nor is one of ours whose call was exchanged, or which is not being executed.
        own = service.queue_operation(
            operator=uri, context=context, metadata={"target": "t", "log": "/tmp"}
        )
        for id, text, started in ((own.id, call, False), (own.id, "{}", True), (None, call, True)):
            if started:
                service.set_running(own.id)
            context = request("split", dataset, {"call": text})
            context._delegated_operation_id = id
            with pytest.raises(PermissionError):
                operator._call(context)
        context = request("split", dataset, {"call": call})
        context._delegated_operation_id = own.id
        assert operator._call(context) == call
        with pytest.raises(PermissionError):  # it is a call of this verb, and of no other
            foo.get_operator(URI + "export_folders")._call(context)
        assert service.get(own.id).run_state == ExecutionRunState.RUNNING
        service.delete_operation(own.id)
    finally:
        service.delete_operation(operation.id)
    assert state(dataset) == before


def test_a_call_names_its_own_dataset_alone(dataset, other):
    text = calls.encode({"samples": other.match_tags("train")})
    assert len(calls.decode(text)["samples"]) == other.count_sample_tags()["train"]
    with pytest.raises(ValueError, match="refer to another dataset"):
        calls.decode(text, dataset._doc.id)
    for rubbish in ("", "[]", "3", "{", '{"x": {"__view__": {}}}', '{"x": {"__view__": 3}}',
                    '{"x": {"__recipe__": {"epochz": 3}}}', "[" * 100_000):  # fmt: skip
        with pytest.raises(ValueError, match="The arguments of this job cannot be read"):
            calls.decode(rubbish, dataset._doc.id)


STAGES = [
    ({"_cls": "subprocess.Popen", "kwargs": [["args", "id"]]}, "'subprocess.Popen' is not a stage"),
    ({"_cls": "os.system", "kwargs": [["command", "id"]]}, "'os.system' is not a stage"),
    ({"_cls": "fiftyone.core.stages.ViewStage", "kwargs": []}, "ViewStage' is not a stage"),
    ({"_cls": 3, "kwargs": []}, "'3' is not a stage"),
    ({"kwargs": []}, "'None' is not a stage"),
    ("fiftyone.core.stages.Limit", "is not a stage"),
    ({"_cls": RUNS + "Limit", "kwargs": {"limit": 3}}, "no readable arguments"),
    ({"_cls": RUNS + "Limit"}, "no readable arguments"),
    ({"_cls": RUNS + "Mongo", "kwargs": [["pipeline", [{"$match": {"$where": "1"}}]]]}, "where"),
    ({"_cls": RUNS + "Mongo", "kwargs": [["pipeline", [{"$out": "x"}]]]}, "[$]out"),
    ({"_cls": RUNS + "Match", "kwargs": [["filter", {"$expr": {"$function": {}}}]]}, "function"),
    ({"_cls": RUNS + "Mongo", "kwargs": [["pipeline", [{"$lookup": {}}]]]}, "lookup"),
    ({"_cls": RUNS + "ToPatches", "kwargs": [["field", "x"]]}, "Choose a view of samples"),
    ({"_cls": RUNS + "Concat", "kwargs": [["samples", {"dataset": "requests other",
      "stages": []}]]}, "joined with one of another dataset"),
    ({"_cls": RUNS + "Concat", "kwargs": [["samples", {"stages": []}]]},
     "joined with one of another dataset"),
    ({"_cls": RUNS + "Concat", "kwargs": [["samples", {"dataset": "requests",
      "stages": [{"_cls": "os.system", "kwargs": [["command", "id"]]}]}]]}, "is not a stage"),
]  # fmt: skip


def test_a_field_that_takes_whole_numbers_takes_no_others():
    """Whatever `KINDS` says of a parameter of this name."""
    inputs = types.Object()
    inputs.int("whole", min=2)
    inputs.float("part", max=1)
    assert list(faults(inputs, {"whole": 2, "part": 0.5})) == []
    assert list(faults(inputs, {"whole": 3, "part": 1})) == []
    assert [words for _, words in faults(inputs, {"whole": 2.5, "part": "x"})] == [
        "whole must be a whole number, not 2.5",
        "part must be a number, not 'x'",
    ]
    assert [words for _, words in faults(inputs, {"whole": 1, "part": 1.5})] == [
        "whole must be at least 2, not 1",
        "part must be at most 1, not 1.5",
    ]


@pytest.mark.parametrize(("stage", "message"), STAGES)
def test_stages_that_do_more_than_to_choose_samples(dataset, other, stage, message, ran):
    own = str(dataset._doc.id)
    with pytest.raises(ValueError, match=message):
        check_stages([stage], own, dataset.name)
    text = json.dumps({"samples": {"__view__": {"id": own, "stages": json.dumps([stage])}}})
    with pytest.raises(ValueError, match=message):
        calls.decode(text, own)
    (found,) = refusals("split", dataset, {}, view=[stage])[:1]
    assert re.search(message, found)
    with pytest.raises(ValueError, match=message):
        foo.get_operator(URI + "split").execute(request("split", dataset, {}, view=[stage]))
    assert ran == []


def test_a_view_that_the_database_cannot_read_is_refused_in_its_words(dataset):
    with pytest.raises(OperationFailure, match="full error") as caught:
        len(dataset.mongo([{"$nonsense": 1}]))
    assert _words(caught.value) == (
        "The database cannot read the view or the filters of this request: "
        "Unrecognized pipeline stage name: '$nonsense'"
    )


def test_views_of_people_are_built_as_before(dataset):
    view = dataset.match_tags("train").sort_by("filepath", reverse=True).limit(4)
    joined = view.concat(dataset.match_tags("val").limit(2))
    by_expression = dataset.match(fo.ViewField("ground_truth.label").starts_with("digit 1"))
    mongo = dataset.mongo([{"$match": {"tags": "val"}}])
    picked = dataset.select(dataset.values("id")[3:5], ordered=True)
    for own in (view, joined, by_expression, mongo, picked, dataset.exists("ground_truth")):
        found = calls.decode(calls.encode({"samples": own}), dataset._doc.id)["samples"]
        assert found.values("id") == own.values("id")
        inputs = request("split", dataset, {}, view=serialized(own))
        assert [*filter(None, refusals("split", dataset, {}, view=serialized(own)))] == []
        assert inputs.target_view().values("id") == own.values("id")


def test_a_job_that_is_no_job_is_not_followed(dataset):
    operator = foo.get_operator(URI + "follow_job")
    assert operator.config.unlisted
    for value in RUBBISH:
        ctx = request("follow_job", dataset, {"job": value})
        ctx.executor = foo.executor.Executor()
        list(operator.execute(ctx))
        (message,) = ctx.executor.to_json()["requests"]
        json_util.dumps(message)
        assert message["params"]["variant"] == "error"


@pytest.mark.parametrize("name", [name for name in CALLS if name not in OF_IMPORTS])
def test_calls_of_the_review_card_answer_rubbish_in_words(dataset, name):
    before = state(dataset), dataset.values("ground_truth.label")
    operator = foo.get_operator(URI + name)
    assert operator.config.unlisted
    good = {"id": dataset.first().id, "decision": "keep", "shown": "gone"}
    for key in operator.kinds:
        for value in RUBBISH:
            if (name, value) == ("show_heatmap", ""):  # no heatmap, which is a choice
                continue
            answer = operator.execute(request(name, dataset, {**good, key: value}))
            json_util.dumps(answer)
            if name != "review_cards":  # which only reads
                # This dataset has no classifier to explain, which is no error.
                said = answer.get("missing") if name == "explain_sample" else answer["error"]
                said = said or answer["error"]
                assert said
                assert "Traceback" not in said
    answer = operator.execute(request(name, None, good))
    assert answer == {"error": "Open a dataset first"}
    assert (state(dataset), dataset.values("ground_truth.label")) == before
