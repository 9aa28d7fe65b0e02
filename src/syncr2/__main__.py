"""What the package does from a terminal: `python -m syncr2 --help`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from syncr2.commands import parsers
from syncr2.errors import SyncR2Error

_RENAMED = "NAME=OTHER"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; gives the exit code."""
    options = _parser().parse_args(arguments)
    try:
        code = options.run(options)
    except SyncR2Error as error:
        print(error, file=sys.stderr)
        return 1
    return code or 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m syncr2", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    docs = commands.add_parser("docs", help="write docs/configuration.md from the schema and config.yaml")
    docs.add_argument("--check", action="store_true", help="write nothing; fail if the page is out of date")
    docs.set_defaults(run=_docs)
    exported = commands.add_parser(
        "export-episodes", help="write dialogues and their judgements as Sotopia's EpisodeLog JSON"
    )
    exported.add_argument("results", help="results folder of a finished run")
    exported.add_argument("output", help="JSON file to write: a list of logs")
    exported.add_argument("--judge", help="whose scores to take; without it, logs have none")
    exported.add_argument("--tag", default="syncr2", help="Sotopia's name for the batch (default: syncr2)")
    exported.set_defaults(run=_export)
    imported = commands.add_parser(
        "import-episodes", help="read Sotopia's EpisodeLog JSON: dialogues, judgements and a table of scores"
    )
    imported.add_argument("logs", help="JSON (one log, a list, or an object of logs) or JSON Lines")
    imported.add_argument("output", help="folder for dialogues.jsonl, judgements.jsonl and scores.tsv")
    imported.add_argument("--scenarios", required=True, help="scenarios.json of a run with these episodes")
    imported.add_argument("--judge", default="imported", help="name for the scores (default: imported)")
    imported.add_argument(
        "--model", action="append", default=[], metavar=_RENAMED, help="another name for a model of the logs"
    )
    imported.set_defaults(run=_import)
    parsers.add(commands)
    return parser


def _docs(options: argparse.Namespace) -> None:
    from syncr2.config import docs

    if not options.check:
        docs.write()
    elif not docs.is_current():
        raise SyncR2Error(
            "docs/configuration.md is not what workflow/schemas/config.schema.yaml and config.yaml say. "
            "Run `make docs` and commit the page."
        )


def _export(options: argparse.Namespace) -> None:
    from syncr2.stages.episode_logs import export_logs

    print(export_logs(options.results, options.output, options.judge, options.tag))


def _import(options: argparse.Namespace) -> None:
    from syncr2.stages.episode_logs import import_logs

    bad = [text for text in options.model if not all(text.partition("="))]
    if bad:
        raise SyncR2Error(f"--model: found {bad[0]!r}; {_RENAMED} is needed.")
    models = dict(text.split("=", 1) for text in options.model)
    print(import_logs(options.logs, options.output, options.scenarios, options.judge, models))


if __name__ == "__main__":
    sys.exit(main())
