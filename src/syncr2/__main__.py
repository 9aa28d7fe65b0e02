"""What the package does from a terminal: `python -m syncr2 --help`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from syncr2.errors import SyncR2Error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; gives the exit code."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except SyncR2Error as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m syncr2", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    docs = commands.add_parser("docs", help="write docs/configuration.md from the schema and config.yaml")
    docs.add_argument("--check", action="store_true", help="write nothing; fail if the page is out of date")
    docs.set_defaults(run=_docs)
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


if __name__ == "__main__":
    sys.exit(main())
