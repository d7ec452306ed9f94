"""The arguments of the command line."""

from __future__ import annotations

import argparse
import re
import sys

from .folders.layout import LABEL_FROM, LEVELS, SPLIT_FROM

COLORS = ("jet",)
COLUMNS = ("image_column", "label_column", "split_column")


class _Parser(argparse.ArgumentParser):
    """A parser whose errors show the usage of the command that they belong to, and an example."""

    def parse_known_args(self, args=None, namespace=None):
        """Refuse unknown arguments here: argparse would leave them to the parser of all commands,
        which shows only the list of commands."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown

    def error(self, message: str):
        """Print the usage, the error and an example, and exit with code 2."""
        self.print_usage(sys.stderr)
        example = f"{self.epilog}\n" if self.epilog else ""
        self.exit(2, f"{self.prog}: error: {message}\n{example}")


class _Command(_Parser):
    """The parser of one command: options may stand between its other arguments."""

    _is_within = False

    def parse_known_args(self, args=None, namespace=None):
        """Parse options first and then the other arguments, which calls this method twice."""
        if self._is_within:
            return argparse.ArgumentParser.parse_known_args(self, args, namespace)
        self._is_within = True
        try:
            found, unknown = self.parse_known_intermixed_args(args, namespace)
        finally:
            self._is_within = False
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown


class _OnlyFile(argparse.Action):
    """A file that is given either by its place or by an option."""

    def __call__(self, parser, namespace, values, option_string=None):
        """Store the file, unless the option was given."""
        if values is not None and getattr(namespace, self.dest, None) is not None:
            raise argparse.ArgumentError(None, "argument --out: not allowed with argument FILE")
        if values is not None:
            setattr(namespace, self.dest, values)


def _example(arguments: str) -> str:
    return f"Example: python -m fiftyone_gradcam {arguments}"


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = _Parser(
        prog="python -m fiftyone_gradcam",
        description="Train image classifiers in FiftyOne, see where they look, find wrong labels.",
    )
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Command)

    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--seed", type=int, default=0, help="random seed of the whole workflow (default: 0)"
    )
    common.add_argument("--no-app", action="store_true", help="exit instead of opening the App")
    common.add_argument("--port", type=int, help="port of the App (default: FiftyOne's setting)")
    common.add_argument(
        "--colors",
        choices=COLORS,
        help="colors of heatmaps in the App (default: one for each field)",
    )
    common.add_argument("--json", metavar="FILE", help="write the figures to this file")

    demo = commands.add_parser(
        "demo",
        parents=[common],
        help="run the whole workflow on handwritten digits, or photos, with planted errors",
        epilog=_example("demo --photos"),
    )
    demo.add_argument(
        "--photos",
        nargs="?",
        const="",
        metavar="FOLDER",
        help="use photos of ants and bees, downloaded (45 MB) unless FOLDER contains them",
    )
    layout = argparse.ArgumentParser(add_help=False)
    layout.add_argument("folder", help="folder of labeled images")
    layout.add_argument(
        "--label-from", choices=LABEL_FROM, help="where the class of an image is given"
    )
    layout.add_argument(
        "--split-from", choices=SPLIT_FROM, help="where the split of an image is given"
    )
    layout.add_argument("--level", choices=LEVELS, help="which of nested folders names the class")
    layout.add_argument("--pattern", help="regular expression with a group named 'label'")
    layout.add_argument(
        "--table",
        action="append",
        metavar="CSV",
        help="table of images, labels and optional splits; can be repeated",
    )
    for name, what in zip(COLUMNS, ("images", "labels", "splits"), strict=True):
        layout.add_argument(
            f"--{name.replace('_', '-')}",
            metavar="HEADER",
            help=f"header of the table's column of {what}",
        )
    layout.add_argument(
        "--class-names", metavar="FILE", help="file of class names, in lines such as 1 = Makino"
    )
    layout.add_argument(
        "--skip",
        action="append",
        metavar="PATTERN",
        help="files to skip, such as '*_old.*'; can be repeated",
    )
    layout.add_argument(
        "--keep-masks", action="store_true", default=None, help="also import masks as images"
    )

    commands.add_parser(
        "plan",
        parents=[layout],
        help="show what would be imported from a folder, without writing anything",
        epilog=_example("plan path/to/photos"),
    )
    run = commands.add_parser(
        "run",
        parents=[layout, common],
        help="run the whole workflow on your own folders",
        epilog=_example("run path/to/photos --name photos"),
    )
    run.add_argument("--name", help="name of the dataset (default: the folder's name)")
    run.add_argument("--keep-truncated", action="store_true", help="also import truncated files")
    run.add_argument(
        "--max-pixels",
        type=int,
        help="width x height of the largest image to decode (default: 178956970)",
    )
    run.add_argument("--key", help="key of the run (default: the backbone's name)")
    run.add_argument("--recipe", default="default", help="name of a recipe (default: default)")
    run.add_argument(
        "--backbone",
        help="network to fine-tune (default: the recipe's, or resnet18, or another one if only its "
        "weights are on this machine)",
    )
    run.add_argument(
        "--weights", help="imagenet, none, auto or a file of weights (default: imagenet)"
    )
    run.add_argument("--epochs", type=int, help="number of epochs (default: the recipe's)")

    report = commands.add_parser(
        "report",
        help="write one HTML file about a dataset, its classifier and its labels",
        epilog=_example("report photos photos.html"),
    )
    report.add_argument("dataset", help="name of the dataset")
    report.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        action=_OnlyFile,
        help="file to write (default: report.html)",
    )
    report.add_argument("--out", dest="file", metavar="FILE", help="the same")
    report.add_argument("--run", help="key of the run (default: the newest with predictions)")
    report.add_argument("--label-field", metavar="FIELD", help="field with the labels")
    report.add_argument(
        "--pictures",
        type=int,
        default=24,
        metavar="N",
        help="number of suspicious labels to show (default: 24)",
    )
    report.add_argument("--overwrite", action="store_true", help="replace an existing file")

    moved = commands.add_parser(
        "relocate",
        help="update the paths of samples after a folder was moved or renamed",
        epilog=_example("relocate photos /old/folder /new/folder"),
    )
    moved.add_argument("dataset", help="name of the dataset")
    moved.add_argument("old", help="old folder, as in the paths of the samples")
    moved.add_argument("new", help="new folder")

    doctor = commands.add_parser(
        "doctor",
        help="check PyTorch, FiftyOne, its database, weights and the plugin",
        epilog=_example("doctor --fix"),
    )
    doctor.add_argument("--fix", action="store_true", help="fix problems where possible")
    doctor.add_argument("--yes", action="store_true", help="delete unused files without asking")
    doctor.add_argument(
        "--free",
        action="append",
        default=[],
        metavar="FOLDER",
        help="delete the listed files of this folder, which another database may use",
    )
    return parser


def in_options(text: str) -> str:
    """Replace argument names in a message by options of the command line."""
    names = "|".join(("label_from", "split_from", "class_names", *COLUMNS))
    text = re.sub(rf"\b({names})\b", _option, text)
    text = re.sub(r"\b(level|backbone|weights)='(\w+)'", r"--\1 \2", text)
    text = re.sub(r"^(out|pictures) must", r"--\1 must", text)
    text = text.replace("--label-from, pattern or table", "--label-from, --pattern or --table")
    return re.sub(r"\b(keep_masks|overwrite)=True", _option, text)


def _option(found: re.Match) -> str:
    return f"--{found[1].replace('_', '-')}"
