"""Check the installation, describe problems in plain words, and fix them on request."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from .doctor_database import check_database
from .doctor_finding import Finding

PLUGIN_NAME = "@gradcam/classifier"
REPOSITORY = Path(__file__).resolve().parent.parent


def examine(fix: bool = False, yes: bool = False, free: Sequence[str] = ()) -> bool:
    """Run all checks and print the results.

    Args:
        fix: fix problems where possible, then check again; files are deleted only after asking
        yes: delete files without asking
        free: folders whose files are deleted even if another database may use them (see
            `doctor_files`)

    Returns:
        whether all checks passed
    """
    well = True
    print("Importing torch and FiftyOne; this may take a while", flush=True)
    for check in (
        check_torch,
        check_device,
        check_fiftyone,
        check_database,
        check_weights,
        check_plugin,
        check_import,
    ):
        finding = check()
        if fix and finding.fix is not None:
            print(f"      {finding.text}", flush=True)
            print(f"fix   {finding.fix()}", flush=True)
            finding = check()
        print(finding, flush=True)
        well = well and finding.ok
    if check_fiftyone().ok and check_database().ok:
        from .doctor_files import report_leftovers

        well = report_leftovers(fix, yes, free) and well
    return well


def link_plugin() -> None:
    """Link the plugin into FiftyOne's plugins folder if it is not there, and print a message."""
    finding = check_plugin()
    if finding.fix is not None:
        print(finding.fix())
        finding = check_plugin()
    if not finding.ok:
        print(finding)


def check_torch() -> Finding:
    """Check that torch and torchvision are compatible."""
    try:
        import torch
        import torchvision

        boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
        torchvision.ops.nms(boxes, torch.ones(1), 0.5)  # a compiled operator
    except Exception as error:
        return Finding(
            False,
            f"torch and torchvision are not compatible: {error}",
            f"Reinstall both: {sys.executable} -m pip install --force-reinstall torch torchvision",
        )
    return Finding(True, f"torch {torch.__version__} and torchvision {torchvision.__version__}")


def check_device() -> Finding:
    """Check which device is used."""
    try:
        from .model.device import pick_device

        device = pick_device()
    except Exception as error:
        return Finding(False, f"No device can be chosen: {error}")
    if device.type == "cpu":
        return Finding(True, f"device: cpu ({os.cpu_count()} processors); no GPU was found")
    return Finding(True, f"device: {device.type}")


def check_fiftyone() -> Finding:
    """Check that the version of FiftyOne is supported."""
    try:
        import fiftyone
        from packaging.version import Version
    except Exception as error:
        return Finding(
            False,
            f"FiftyOne cannot be imported: {error}",
            f"Install it: {sys.executable} -m pip install -r {REPOSITORY / 'requirements.txt'}",
        )
    version = Version(fiftyone.__version__)
    if not Version("1.22") <= version < Version("2"):
        return Finding(
            False,
            f"FiftyOne {version} is not in the range 1.22 to 2",
            f"Install one: {sys.executable} -m pip install 'fiftyone>=1.22,<2'",
        )
    return Finding(True, f"FiftyOne {version}")


def check_weights() -> Finding:
    """Check that cached ImageNet weights can be loaded."""
    try:
        from .model.backbones import BACKBONES
        from .model.weights import check_imagenet_weights, imagenet_weights_file
    except Exception as error:
        return Finding(False, f"The weights could not be checked: {error}")
    files = {name: imagenet_weights_file(name) for name in BACKBONES}
    cached = [name for name, path in files.items() if path and os.path.exists(path)]
    wrong: dict[str, str] = {}
    for name in cached:
        try:
            check_imagenet_weights(name)
        except Exception as error:  # depends on how the file is damaged
            wrong[name] = getattr(error, "reason", f"{name}: {error}")
    if wrong:
        paths = ", ".join(repr(files[name]) for name in wrong)
        return Finding(
            False,
            "; ".join(wrong.values()),
            f"Delete {paths}: the weights are downloaded again when they are needed",
        )
    if cached:
        return Finding(True, f"ImageNet weights cached: {', '.join(cached)}")
    folder = os.path.dirname(next(filter(None, files.values())))
    return Finding(
        True,
        f"no ImageNet weights cached in {folder}",
        "They are downloaded when first used. Without internet, pass --weights FILE",
    )


def check_plugin() -> Finding:
    """Check that the plugin is in FiftyOne's plugins folder, is enabled, and loads without an
    error."""
    try:
        import fiftyone as fo
        import fiftyone.operators as foo
        import fiftyone.plugins as fop

        installed = {p.name: p.directory for p in fop.list_plugins(enabled="all")}
        enabled = {p.name for p in fop.list_plugins()}
    except Exception as error:
        return Finding(False, f"The plugin could not be checked: {error}")
    folder = fo.config.plugins_dir
    link = Path(os.path.expanduser(folder)) / "fiftyone-gradcam"
    if PLUGIN_NAME not in installed:
        return Finding(
            False,
            f"The plugin {PLUGIN_NAME} is not in {folder}",
            f"`python -m fiftyone_gradcam doctor --fix` links it; by hand: "
            f"mkdir -p {link.parent} && ln -sfn {REPOSITORY} {link}",
            lambda: _link(link),
        )
    place = Path(installed[PLUGIN_NAME]).resolve()
    if place != REPOSITORY:
        return Finding(
            False,
            f"The plugin {PLUGIN_NAME} in {folder} is another copy: {place}",
            f"Remove it, then: ln -sfn {REPOSITORY} {link}",
        )
    if PLUGIN_NAME not in enabled:
        return Finding(
            False,
            f"The plugin {PLUGIN_NAME} is disabled",
            f"Enable it: fiftyone plugins enable {PLUGIN_NAME}",
            lambda: fop.enable_plugin(PLUGIN_NAME) or f"enabled {PLUGIN_NAME}",
        )
    errors = [str(e) for e in foo.OperatorRegistry().list_errors() if str(REPOSITORY) in str(e)]
    if errors:
        return Finding(False, f"The plugin {PLUGIN_NAME} does not load: {errors[0]}")
    return Finding(True, f"plugin {PLUGIN_NAME} is installed in {folder}")


def _link(link: Path) -> str:
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_symlink() and not link.exists():
        link.unlink()  # it points to a folder that does not exist anymore
    if os.path.lexists(link):
        return f"{link} already exists; move it elsewhere"
    link.symlink_to(REPOSITORY, target_is_directory=True)
    return f"linked the plugin into {link.parent}, so that its buttons are in the App"


def check_import() -> Finding:
    """Check that Python can import the package from any folder."""
    code = "import fiftyone_gradcam as g; print(g.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd="/", capture_output=True, text=True, check=False
    )
    if found.returncode == 0 and Path(found.stdout.strip()).resolve().parent.parent == REPOSITORY:
        return Finding(True, "`import fiftyone_gradcam` works from any folder")
    return Finding(
        True,
        f"`import fiftyone_gradcam` works in {REPOSITORY} only",
        "`python -m fiftyone_gradcam doctor --fix` makes it work anywhere in this environment",
        _add_to_path,
    )


def _add_to_path() -> str:
    file = Path(sysconfig.get_paths()["purelib"]) / "fiftyone_gradcam.pth"
    try:
        file.write_text(f"{REPOSITORY}\n")
    except OSError as error:
        return f"could not write {file}: {error}"
    return f"wrote {file}"
