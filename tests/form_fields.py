"""What each field of each form means to its verb, for a test of all of them."""

import inspect
from collections.abc import Iterator

import fiftyone.operators as foo
from fiftyone.operators import types
from form_presets import PRESETS, USUAL
from test_operators import OF_LABELS, OF_RUNS, URI, VERBS

from fiftyone_gradcam.app.operators.params import _kind_of
from fiftyone_gradcam.app.operators.recipe_fields import CHOICES
from fiftyone_gradcam.dataset.runs import load_run
from fiftyone_gradcam.training.known_recipes import RECIPES

# Without "accept_sure", whose only field is asked for by test_review_forms.py.
FORMS = [x for x in (*VERBS, *OF_RUNS, *OF_LABELS, "relocate", "compute_embeddings")
         if x != "accept_sure"]  # fmt: skip
PRETRAINED = "pretrained classifier"
FILE = "/some/file"
MORE = {"advanced": True}
FROM_FILE = {"weights": "file", "weights_file": FILE}
NEAR = {"groups": "near duplicates"}
FOLDER = "a folder with images and a table"  # whose path is put in its place
# What is chosen in each form, to see all its fields.
OPENED: dict[str, list[dict]] = {
    "import_folders": [
        {"path": FOLDER, **MORE},
        {"path": FOLDER, **MORE, "label_from": "pattern", "pattern": "(?P<label>.)"},
        {"path": FOLDER, **MORE, "label_from": "table"},
    ],
    "split": [MORE, {"way": "counts"}, {"way": "folds"}, NEAR, {**NEAR, "backbone": "resnet18"}],
    "fine_tune": [MORE, {**FROM_FILE, "backbone": "resnet18"}],
    "predict": [
        {"run": "second", **MORE},
        {"run": PRETRAINED, **MORE},
        {"run": PRETRAINED, **FROM_FILE},
    ],
    "find_label_issues": [
        MORE,
        {**MORE, "embeddings": "seen"},
        {"backbone": "resnet18"},
        {"backbone": "resnet18", **FROM_FILE},
    ],
    "find_leaks": [{}, {"backbone": "resnet18"}],
    "find_anomalies": [{"normal": "digit 0", **MORE, "backbone": "resnet18"}],
    **{
        key: [{"run": run, "backbone": "resnet18", **MORE} for run in ("second", PRETRAINED)]
        for key in ["show_embeddings", "compute_embeddings"]
    },
    **{key: [{"prediction_field": "prediction"}] for key in ["lowest_scores", "highest_scores"]},
    "mistakes": [{"prediction_field": "prediction"}],
    "export_folders": [{"folder": FOLDER}],
    "export_overlays": [{"heatmap_field": "gradcam", "folder": FOLDER, **MORE}],
    "mean_heatmaps": [{"heatmap_field": "gradcam", "folder": FOLDER}],
    "explanation_quality": [{"heatmap_field": "gradcam", **MORE}],
    "relocate": [{"old": "/a", "new": "/b"}],
    "export_run": [{"run": "second", "folder": FOLDER}],
    "import_run": [
        {"folder": "/x", "weights_file": FILE, "backbone": "resnet18"},
        {"folder": "/x", "weights_file": FILE, "backbone": "resnet18", "way": "weights"},
    ],
    "rename_run": [{"key": "second", "new_key": "new"}],
    "delete_run": [{"key": "first"}],
    "review": [{"decision": "relabel"}],
    "export_reviews": [{"csv_path": "/x.csv"}],
    "compare_runs": [{"a": "first", "b": "second"}],
    **{key: [{"run": "second"}] for key in ["retrain", "evaluate"]},
}
# Arguments that no field of a form stands for.
IN_PYTHON = {
    "*": {"samples", "device", "progress", "delegate"},
    "import_folders": {"overwrite"},  # whose field is there if the dataset is
    "fine_tune": {"resume", "overwrite"},
    "predict": {"label_field", "resume", "overwrite"},
    "find_label_issues": {
        *("quality_field", "suggestion_field", "issue_field", "overwrite", "probabilities"),
    },
    "find_leaks": {"leak_field", "overwrite"},
    "find_anomalies": {"resize", "anomaly_field", "heatmap_field", "overwrite"},
    "show_embeddings": {"brain_key", "seed", "overwrite"},
    "compute_embeddings": {"overwrite"},
    **{key: {"label_field"} for key in ["lowest_scores", "highest_scores", "mistakes"]},
    "export_overlays": {"prediction_field", "label_field"},
    "mean_heatmaps": {"class_field", "colormap"},
    "explanation_quality": {"weights", "resize"},
    "preview_augmentation": {"path", "count", "copies", "overwrite"},
    "find_learning_rate": {"lowest", "highest", "steps", "path", "overwrite"},
    "sanity_check": {"images", "steps"},
    "import_run": {"overwrite"},
    "review": {"label_field", "shown", "source"},
    "export_reviews": {"overwrite"},
    "evaluate": {"key"},
    "report": {"label_field", "pictures", "overwrite"},
}
NO_NETWORK = {"backbone": None, "weights": None}
FIELDS_OF_RUN = ("prediction_field", "heatmap_field")
PRETRAINED_RUN = {
    "run": "resnet18", "weights": "imagenet", "resize": "auto",
    "prediction_field": "imagenet", "heatmap_field": "imagenet_cam",
}  # fmt: skip


def context(verb: str, dataset, params: dict) -> foo.executor.ExecutionContext:
    """A form of all samples; two are selected in the grid."""
    request = {"dataset_name": dataset.name, "params": params, "view_target": "DATASET"}
    request["selected"] = dataset.values("id")[:2]
    return foo.executor.ExecutionContext(request_params=request, operator_uri=URI + verb)


def arguments(verb: str, ctx, params: dict) -> dict:
    """What the verb is called with, without the samples."""
    ctx.request_params["params"] = ctx.params = params
    found = foo.get_operator(URI + verb).arguments(ctx)
    return {name: value for name, value in found.items() if name != "samples"}


def values(field: types.Property, now: object) -> Iterator:
    """Some values that may be chosen, instead of the one that is chosen now."""
    kind = field.type
    if isinstance(kind, types.Enum):
        offered = [x for x in kind.values if x not in (now, "automatic")]
        yield from offered if len(offered) <= 6 else (offered[1], offered[-1])
    elif isinstance(kind, types.Number):
        least = kind.min or 0
        yield from (least, least + 1) if kind.int else (float(least), least + 0.25)
    elif isinstance(kind, types.Boolean):
        yield not now
    elif isinstance(kind, types.List):
        yield ["digit 1"]
    else:
        yield "a b"


def form(verb: str, ctx) -> dict[str, types.Property]:
    """All that a form shows."""
    return foo.get_operator(URI + verb).resolve_input(ctx).type.properties


def fields(verb: str, ctx) -> dict[str, types.Property]:
    """What can be filled in."""
    return {
        name: field
        for name, field in form(verb, ctx).items()
        if (isinstance(field.type, types.Enum) or _kind_of(field.type) is not None)
        and type(field.view).__name__ not in ("HiddenView", "MarkdownView")
        and name not in ("advanced", "view_target")
    }


def meant(verb: str, name: str, value, dataset, params: dict, before: dict) -> dict:
    """The arguments that a value of a field stands for; `before`: those without it."""
    if (special := SPECIAL.get((verb, name)) or SPECIAL.get(("*", name))) is not None:
        return special(value, dataset, params, before)
    return {name: value}


def differences(verb: str, before: dict, after: dict) -> dict:
    """The arguments that differ; None for those that are left to recipes."""
    parameters = inspect.signature(foo.get_operator(URI + verb).function).parameters.values()
    usual = {p.name: p.default for p in parameters if p.default is not p.empty}
    names = {*before, *after}
    old, new = ({n: {**usual, **own}.get(n) for n in names} for own in (before, after))
    return {name: new[name] for name in names if new[name] != old[name]}


def wrong_fields(verb: str, dataset, folder: str) -> list[str]:
    """What a form hands on that it should not, or does not; none of it, if all is well."""
    wrong, reached, ways = [], set(), OPENED.get(verb, [{}])
    for opened, preset in zip(ways, PRESETS.get(verb, [{}] * len(ways)), strict=True):
        params = {name: folder if x is FOLDER else x for name, x in opened.items()}
        ctx = context(verb, dataset, params)
        shown, before = fields(verb, ctx), arguments(verb, ctx, params)
        left_over = {"advanced", "backbone", "weights_file", "folder"}  # of another choice
        if hidden := {*params} - {*shown} - left_over:
            wrong.append(f"{params}: {hidden} cannot be chosen")
        own = {n: x for n, x in differences(verb, {}, before).items() if params.get(n) != x}
        if own != preset:
            wrong.append(f"{params} means {own}, not {preset}")
        defaults = {name: field.default for name, field in shown.items()}  # which the App sends
        sent = arguments(verb, ctx, {n: x for n, x in defaults.items() if x is not None} | params)
        found = differences(verb, before, sent).items()
        if own := {n: x for n, x in found if (before.get(n), USUAL.get(n, ...)) != (None, x)}:
            wrong.append(f"{params}: the defaults that the App sends mean {own}")
        for name, field in shown.items():
            for value in values(field, params.get(name, field.default)):
                after = differences(verb, before, arguments(verb, ctx, {**params, name: value}))
                own = meant(verb, name, value, dataset, params, before)
                wanted = differences(verb, before, {**before, **own})
                reached |= {*after}
                if after != wanted:
                    wrong.append(f"{name}={value!r} means {after}, not {wanted}")
        if params.get("advanced") and "advanced" in form(verb, ctx):
            few = fields(verb, context(verb, dataset, {**params, "advanced": False}))
            if not {*few} < {*shown}:
                wrong.append(f"{params}: {[*few]} without more options, {[*shown]} with them")
    parameters = inspect.signature(foo.get_operator(URI + verb).function).parameters.values()
    names = {x.name for x in parameters if x.kind is not inspect.Parameter.VAR_KEYWORD}
    left = names - reached - IN_PYTHON["*"] ^ IN_PYTHON.get(verb, set())
    return wrong + [f"{name} is asked for, or is not" for name in left]


def _kinds(kind: str):
    def turned(value, dataset, params, before) -> dict:
        own = {*before["heatmaps"]} ^ {kind}
        names = ("predicted", "label", "runner_up", "contrast")
        return {"heatmaps": tuple(name for name in names if name in own)}

    return turned


def _as(name: str):
    return lambda value, dataset, params, before: {name: value}


def _fraction(value, name: str, before: dict) -> dict:
    own = {part: x for part, x in {**before["fractions"], name: value}.items() if x}
    return {"fractions": own}


def _share(name: str):
    return lambda value, dataset, params, before: _fraction(value, name, before)


def _way(value, dataset, params, before) -> dict:
    if value == "folds":
        return {"fractions": "default", "folds": 5}
    shares = {"counts": (100, 20, 20), "shares": (0.6, 0.2, 0.2)}[value]
    own = dict(zip(("train", "val", "test"), shares, strict=True))
    return {"fractions": own, "folds": None}


def _recipe(value, dataset, params, before) -> dict:
    if value.startswith("run "):
        own = load_run(dataset, value.removeprefix("run ")).recipe
        found, backbone = {n: own[n] for n in CHOICES}, own["backbone"]
    else:
        found = {"recipe": value}
        backbone = RECIPES[value].choices.get("backbone", "resnet18")
    found |= {"key": backbone} if "key" in before and "backbone" not in params else {}
    return {name: x for name, x in found.items() if name not in params}


def _backbone(value, dataset, params, before) -> dict:
    """With the weights that are chosen, or those of ImageNet."""
    weights = params.get("weights", "imagenet")
    weights = params["weights_file"] if weights == "file" else weights
    return {"backbone": value, "weights": "none" if value == "small_cnn" else weights}


def _weights(value, dataset, params, before) -> dict:
    return {"weights": params.get("weights_file", "") if value == "file" else value}


def _backbone_of_recipe(value, dataset, params, before) -> dict:
    own = {"backbone": value} | ({"key": value} if "key" in before else {})
    return own | ({"weights": "none"} if value == "small_cnn" else {})


def _source(value, dataset, params, before) -> dict:
    """Of embeddings: a run, a field or a network."""
    if value == PRETRAINED:
        return {"run_or_backbone": params["backbone"], "weights": "imagenet"}
    if value.startswith("field "):
        own = {"embeddings": value.removeprefix("field ")}
        return {"run_or_backbone": None, "weights": None, **own}
    return {"run_or_backbone": value, "weights": None}


def _network(name: str):
    return lambda value, *_: {name: value}


def _run(value, dataset, params, before) -> dict:
    """Of predictions; those of the first run are there."""
    if value == PRETRAINED:
        return PRETRAINED_RUN
    own = ("prediction", "gradcam") if value == "first" else ("prediction_second", "gradcam_second")
    own = dict(zip(FIELDS_OF_RUN, own, strict=True))
    return {"run": value, **own, "weights": None, "resize": None}


def _embeddings(value, dataset, params, before) -> dict:
    return {"embeddings": value, **NO_NETWORK}


def _way_of_import(value, dataset, params, before) -> dict:
    own = {"weights": FILE, "backbone": "resnet18", "key": "resnet18", "resize": "crop"}
    own["label_field"] = "ground_truth"
    if value == "folder":
        return {"folder": params["folder"], **dict.fromkeys(own)}
    return {"folder": None, **own}


def _run_of_heatmaps(value, dataset, params, before) -> dict:
    return {"heatmap_field": value, "run": dataset.get_field(value).info["run"]}


def _label_from(value, dataset, params, before) -> dict:
    own = {"label_from": value}
    if params.get("label_from") == "pattern":
        own["pattern"] = params["pattern"] if value == "pattern" else None
    return own


SPECIAL = {
    ("*", "weights_file"): _as("weights"),
    ("*", "weights"): _weights,
    ("*", "horizontal_flip"): lambda value, *_: {"horizontal_flip": value == "yes"},
    ("*", "vertical_flip"): lambda value, *_: {"vertical_flip": value == "yes"},
    ("*", "recipe"): _recipe,
    ("*", "backbone"): _backbone,
    ("*", "embeddings"): _embeddings,
    **{(verb, "backbone"): _backbone_of_recipe
       for verb in ("fine_tune", "preview_augmentation", "find_learning_rate", "sanity_check")},
    ("import_folders", "label_from"): _label_from,
    ("import_folders", "skip"): lambda value, *_: {"skip": value.split()},
    ("split", "way"): _way,
    **{("split", part): _share(part) for part in ("train", "val", "test")},
    **{("split", f"count_{part}"): _share(part) for part in ("train", "val", "test")},
    ("split", "groups"): lambda value, *_: {
        "groups": value, **({} if value == NEAR["groups"] else NO_NETWORK)},
    **{("predict", kind): _kinds(kind) for kind in ("predicted", "label", "runner_up", "contrast")},
    ("predict", "run"): _run,
    ("predict", "store"): lambda *_: {"prediction_field": "prediction", "heatmap_field": "gradcam"},
    ("predict", "backbone"): _network("run"),
    **{("predict", name): _as("prediction_field") for name in ("prediction_to", "imagenet_to")},
    **{("predict", name): _as("heatmap_field") for name in ("gradcam_to", "imagenet_cam_to")},
    ("find_label_issues", "epochs"): lambda value, dataset, params, before: (
        {} if "embeddings" in params else {"epochs": value}),  # which nothing is trained on
    ("find_leaks", "near"): lambda *_: {"near": False, **NO_NETWORK},
    **{(verb, "run"): _source for verb in ("show_embeddings", "compute_embeddings")},
    **{(verb, "backbone"): _network("run_or_backbone")
       for verb in ("show_embeddings", "compute_embeddings")},
    ("explanation_quality", "heatmap_field"): _run_of_heatmaps,
    ("import_run", "way"): _way_of_import,
    ("import_run", "class_names"): lambda value, *_: {"classes": [value]},
    ("import_run", "backbone"): lambda value, *_: {"backbone": value, "key": value},
    ("review", "decision"): lambda value, *_: {
        "decision": value, "label": None, "new_class": False},
    ("review", "new_class"): lambda value, *_: {"label": value, "new_class": True},
}  # fmt: skip
