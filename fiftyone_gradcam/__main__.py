"""The command line: demo, plan, run, report, relocate, doctor."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from .command_line import COLUMNS, in_options, make_parser

if TYPE_CHECKING:
    import fiftyone as fo


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return the exit code: 0 for success, 1 for an error, 2 for invalid
    arguments."""
    options = make_parser().parse_args(arguments)
    from . import doctor, doctor_database

    if options.command == "doctor":
        return 0 if doctor.examine(options.fix, options.yes, options.free) else 1
    try:
        if options.command == "plan":  # needs no database
            return _plan(options)
        if options.command in ("relocate", "report"):
            doctor_database.fix_database()
            return (_relocate if options.command == "relocate" else _report)(options)
        if options.json and not os.path.isdir(os.path.dirname(os.path.abspath(options.json))):
            raise ValueError(f"The folder of --json {options.json!r} does not exist")
        doctor_database.fix_database()
        if not options.no_app:
            doctor.link_plugin()
        return _work(options)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"Error: {in_options(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted", file=sys.stderr)
        return 130


def _plan(options: argparse.Namespace) -> int:
    from .folders.planning import plan_import  # imports neither FiftyOne nor PyTorch

    plan = plan_import(options.folder, **_layout(options))
    print(in_options(str(plan)))
    plan.check()
    return 0


def _relocate(options: argparse.Namespace) -> int:
    from .workflow.relocating import relocate

    relocate(_dataset(options.dataset), options.old, options.new)
    return 0


def _report(options: argparse.Namespace) -> int:
    from .workflow.reporting import report

    report(
        _dataset(options.dataset),
        options.file or "report.html",
        run=options.run,
        label_field=options.label_field,
        pictures=options.pictures,
        overwrite=options.overwrite,
    )
    return 0


def _dataset(name: str) -> fo.Dataset:
    import fiftyone as fo

    from .progress import some
    from .similar import did_you_mean

    if fo.dataset_exists(name):
        return fo.load_dataset(name)
    known = fo.list_datasets()
    said = f"The datasets are: {some(known)}" if known else "There are no datasets yet"
    raise ValueError(f"There is no dataset {name!r}. {did_you_mean(name, known)}{said}")


def _layout(options: argparse.Namespace) -> dict:
    """The layout options that were given."""
    names = ("label_from", "split_from", "level", "pattern", "table", "class_names", "skip")
    names = (*names, *COLUMNS, "keep_masks")
    given = {name: getattr(options, name) for name in names}
    return {name: value for name, value in given.items() if value is not None}


def _work(options: argparse.Namespace) -> int:
    from . import demo, whole_loop

    if options.command == "demo":
        if options.photos is None:
            view, figures = demo.run_demo(options.seed)
        else:
            view, figures = demo.run_photo_demo(options.photos or None, options.seed)
    else:
        choices = {name: getattr(options, name) for name in ("backbone", "weights", "epochs")}
        view, figures = whole_loop.run_loop(
            options.folder,
            name=options.name,
            key=options.key,
            recipe=options.recipe,
            seed=options.seed,
            layout=_layout(options),
            keep_truncated=options.keep_truncated,
            max_pixels=options.max_pixels,
            **{name: value for name, value in choices.items() if value is not None},
        )
    whole_loop.write_figures(figures, options.json)
    print(f"Done in {figures['seconds']:.0f} seconds")
    if options.no_app:
        whole_loop.print_suspicious(view)
    else:
        whole_loop.open_app(view, options.port, options.colors)
    return 0


if __name__ == "__main__":
    sys.exit(main())
