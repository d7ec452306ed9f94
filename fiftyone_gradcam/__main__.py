"""The command line: demo, run, doctor."""

from __future__ import annotations

import argparse
import os
import sys


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 well, 1 something is wrong, 2 not understood."""
    options = _parser().parse_args(arguments)
    from . import doctor

    if options.command == "doctor":
        return 0 if doctor.examine(fix=options.fix) else 1
    try:
        if options.json and not os.path.isdir(os.path.dirname(os.path.abspath(options.json))):
            raise ValueError(f"The folder of --json {options.json!r} does not exist")
        doctor.mend_database()
        if not options.no_app:
            doctor.link_plugin()
        return _work(options)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted", file=sys.stderr)
        return 130


def _work(options: argparse.Namespace) -> int:
    from . import demo

    if options.command == "demo":
        view, figures = demo.run_demo(options.seed)
    else:
        choices = {name: getattr(options, name) for name in ("backbone", "weights", "epochs")}
        view, figures = demo.run_folder(
            options.folder,
            name=options.name,
            key=options.key,
            recipe=options.recipe,
            seed=options.seed,
            **{name: value for name, value in choices.items() if value is not None},
        )
    demo.write_figures(figures, options.json)
    print(f"Done in {figures['seconds']:.0f} seconds")
    if options.no_app:
        demo.tell_suspicious(view)
    else:
        demo.open_app(view, options.port)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fiftyone_gradcam",
        description="Train image classifiers in FiftyOne, see where they look, find wrong labels.",
    )
    commands = parser.add_subparsers(dest="command", required=True)

    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--seed", type=int, default=0, help="of everything random (default: 0)")
    common.add_argument("--no-app", action="store_true", help="end instead of opening the App")
    common.add_argument("--port", type=int, help="of the App (default: FiftyOne's setting)")
    common.add_argument("--json", metavar="FILE", help="write the figures to this file")

    commands.add_parser(
        "demo", parents=[common], help="the whole loop on handwritten digits with planted errors"
    )
    run = commands.add_parser("run", parents=[common], help="the whole loop on your own folders")
    run.add_argument("folder", help="holds one folder of images for each class")
    run.add_argument("--name", help="of the dataset (default: the folder's name)")
    run.add_argument("--key", help="of the run (default: the backbone's name)")
    run.add_argument("--recipe", default="default", help="name of a recipe (default: default)")
    run.add_argument("--backbone", help="instead of the recipe's (default: resnet18)")
    run.add_argument("--weights", help="imagenet, none, auto or a file (default: imagenet)")
    run.add_argument("--epochs", type=int, help="instead of the recipe's")

    doctor = commands.add_parser("doctor", help="is everything in place?")
    doctor.add_argument("--fix", action="store_true", help="mend what can be mended")
    return parser


if __name__ == "__main__":
    sys.exit(main())
