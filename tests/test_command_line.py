"""What each command hands on of its options, and what it prints; the work itself left out."""

import json

import fiftyone as fo
import pytest

from fiftyone_gradcam import demo, doctor, doctor_database, whole_loop
from fiftyone_gradcam.__main__ import main
from fiftyone_gradcam.command_line import in_options, make_parser

COMMON = {"seed": 0, "no_app": False, "port": None, "colors": None, "json": None}
LAYOUT = dict.fromkeys(
    (
        *("label_from", "split_from", "level", "pattern", "table", "class_names", "skip"),
        *("keep_masks", "image_column", "label_column", "split_column"),
    )
)
OF_LAYOUT = (
    "--label-from folder --split-from nothing --level last --pattern p --table a.csv --table b.csv "
    "--class-names names.txt --skip x --skip y --keep-masks --image-column i --label-column l "
    "--split-column s"
)
GIVEN_LAYOUT = {
    "label_from": "folder", "split_from": "nothing", "level": "last", "pattern": "p",
    "table": ["a.csv", "b.csv"], "class_names": "names.txt", "skip": ["x", "y"],
    "keep_masks": True, "image_column": "i", "label_column": "l", "split_column": "s",
}  # fmt: skip
RUN = {
    "name": None, "keep_truncated": False, "max_pixels": None, "key": None, "recipe": "default",
    "backbone": None, "weights": None, "epochs": None,
}  # fmt: skip
REPORT = {
    "dataset": "d", "file": None, "run": None, "label_field": None, "pictures": 24,
    "overwrite": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("demo", {**COMMON, "photos": None}),
        ("demo --photos", {**COMMON, "photos": ""}),
        (
            "demo --photos p --seed 3 --no-app --port 7 --colors jet --json f",
            {"photos": "p", "seed": 3, "no_app": True, "port": 7, "colors": "jet", "json": "f"},
        ),
        ("plan p", {**LAYOUT, "folder": "p"}),
        (f"plan {OF_LAYOUT} p", {**GIVEN_LAYOUT, "folder": "p"}),
        ("run p", {**COMMON, **LAYOUT, **RUN, "folder": "p"}),
        (
            f"run {OF_LAYOUT} --seed 1 --name n --keep-truncated --max-pixels 9 --key k --recipe r "
            "--backbone b --weights w --epochs 2 p",
            {
                **COMMON, **GIVEN_LAYOUT, "folder": "p", "seed": 1, "name": "n", "max_pixels": 9,
                "keep_truncated": True, "key": "k", "recipe": "r", "backbone": "b", "weights": "w",
                "epochs": 2,
            },
        ),
        ("report d", REPORT),
        (
            "report d --out f --run r --label-field l --pictures 3 --overwrite",
            {
                "dataset": "d", "file": "f", "run": "r", "label_field": "l", "pictures": 3,
                "overwrite": True,
            },
        ),
        ("relocate d /old /new", {"dataset": "d", "old": "/old", "new": "/new"}),
        ("doctor", {"fix": False, "yes": False, "free": []}),
        ("doctor --fix --yes --free a --free b", {"fix": True, "yes": True, "free": ["a", "b"]}),
    ],
)  # fmt: skip
def test_options_and_their_defaults(given, expected):
    found = vars(make_parser().parse_args(given.split()))
    assert found == {"command": given.split()[0], **expected}


def test_what_is_missing_or_unknown_is_said_with_the_usage(capsys):
    for arguments, words in (
        (["--nope", "demo"], "python -m fiftyone_gradcam: error: unrecognized arguments: --nope\n"),
        ([], "python -m fiftyone_gradcam: error: the following arguments are required: command\n"),
        (["demo", "--colors", "pink"], "argument --colors: invalid choice: 'pink'"),
        (["plan", "p", "--level", "x"], "argument --level: invalid choice: 'x'"),
    ):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        printed = capsys.readouterr().err
        assert (caught.value.code, printed.startswith("usage: ")) == (2, True)
        assert words in printed
        assert "None" not in printed  # of commands as such there is no example


def test_doctor_is_asked_with_its_options(monkeypatch):
    asked = []
    monkeypatch.setattr(doctor, "examine", lambda *given: asked.append(given) or given[0])
    assert main(["doctor"]) == 1
    assert main(["doctor", "--fix", "--yes", "--free", "x"]) == 0
    assert asked == [(False, False, []), (True, True, ["x"])]


@pytest.fixture
def calls(monkeypatch) -> list:
    """What is called, with what; the work itself is not done."""
    found = []

    def noted(name: str, result: object):
        def call(*args, **options):
            found.append((name, args, options))
            return result

        return call

    made = ("view", {"seconds": 12.6, "dataset": "d"})
    for place, name, result in (
        (demo, "run_demo", made),
        (demo, "run_photo_demo", made),
        (whole_loop, "run_loop", made),
        (whole_loop, "print_suspicious", None),
        (whole_loop, "open_app", None),
        (doctor, "link_plugin", None),
        (doctor_database, "fix_database", None),
    ):
        monkeypatch.setattr(place, name, noted(name, result))
    return found


def test_the_demonstrations_are_called_with_their_choices(calls, tmp_path, capsys):
    ready, shown = ("fix_database", (), {}), ("print_suspicious", ("view",), {})
    for options, call in (
        ([], ("run_demo", (0,), {})),
        (["--seed", "3"], ("run_demo", (3,), {})),
        (["--photos"], ("run_photo_demo", (None, 0), {})),
        (["--photos", "p", "--seed", "3"], ("run_photo_demo", ("p", 3), {})),
    ):
        calls.clear()
        assert main(["demo", "--no-app", *options]) == 0
        assert calls == [ready, call, shown]
        assert capsys.readouterr().out == "Done in 13 seconds\n"
    calls.clear()
    file = tmp_path / "f.json"
    assert main(["demo", "--port", "7", "--colors", "jet", "--json", str(file)]) == 0
    linked, opened = ("link_plugin", (), {}), ("open_app", ("view", 7, "jet"), {})
    assert calls == [ready, linked, ("run_demo", (0,), {}), opened]
    assert json.loads(file.read_text()) == {"seconds": 12.6, "dataset": "d"}


def test_the_whole_loop_is_called_with_what_was_chosen(calls):
    none = dict.fromkeys(("name", "key", "max_pixels"))
    none |= {"recipe": "default", "seed": 0, "layout": {}, "keep_truncated": False}
    assert main(["run", "p", "--no-app"]) == 0
    assert calls[1] == ("run_loop", ("p",), none)
    options = f"{OF_LAYOUT} --seed 1 --name n --keep-truncated --max-pixels 9 --key k --recipe r"
    assert main(["run", "p", "--no-app", *options.split(), "--backbone", "b", "--epochs", "2"]) == 0
    assert calls[-2] == (
        "run_loop",
        ("p",),
        {
            "name": "n", "key": "k", "recipe": "r", "seed": 1, "layout": GIVEN_LAYOUT,
            "keep_truncated": True, "max_pixels": 9, "backbone": "b", "epochs": 2,
        },
    )  # fmt: skip
    assert main(["run", "p", "--no-app", "--weights", "w"]) == 0
    assert calls[-2][2] == {**none, "weights": "w"}


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ValueError("weights='none' and keep_masks=True"), 1, "Error: --weights none and --keep-m"),
        (OSError("no disk"), 1, "Error: no disk\n"),
        (RuntimeError("no database"), 1, "Error: no database\n"),
        (KeyboardInterrupt(), 130, "Interrupted\n"),
    ],
)  # fmt: skip
def test_errors_are_said_without_a_traceback(monkeypatch, capsys, error, code, words):
    def fail():
        raise error

    monkeypatch.setattr(doctor_database, "fix_database", fail)
    assert main(["report", "x"]) == code
    assert capsys.readouterr().err.startswith(words)


def test_a_dataset_that_does_not_exist_is_named_with_those_that_do(name, monkeypatch, capsys):
    fo.Dataset(name)
    for command in (["report", f"{name}s"], ["relocate", f"{name}s", "a", "b"]):
        assert main(command) == 1
        error = capsys.readouterr().err
        said = f"Error: There is no dataset '{name}s'. Did you mean {name!r}? The datasets are: "
        assert error.startswith(said)
        assert name in error.removeprefix(said) or " more" in error
    monkeypatch.setattr(fo, "list_datasets", list)
    assert main(["report", "gone"]) == 1
    assert capsys.readouterr().err == (
        "Error: There is no dataset 'gone'. There are no datasets yet\n"
    )


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("pass label_from, pattern or table", "pass --label-from, --pattern or --table"),
        ("split_from, class_names, image_column", "--split-from, --class-names, --image-column"),
        ("label_column and split_column", "--label-column and --split-column"),
        ("out must be; pictures must be", "--out must be; pictures must be"),
        ("pictures must be", "--pictures must be"),
        ("keep_masks=True, overwrite=True", "--keep-masks, --overwrite"),
        ("overwrite, my_level='x'", "overwrite, my_level='x'"),
    ],
)
def test_names_of_arguments_become_options(text, options):
    assert in_options(text) == options
