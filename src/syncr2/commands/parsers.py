"""The commands about runs and results: `forecast`, `check`, `show`, `verify`, `compare`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

_CONFIG = "YAML file that overrides config.yaml, as for snakemake; several may follow one another"


def add(commands: Any) -> None:
    """Add the five to the subparsers of `python -m syncr2`; each gives the exit code."""
    forecast = commands.add_parser("forecast", help="say what a run will cost, before anything runs")
    _takes_config(forecast)
    forecast.set_defaults(run=_forecast)
    check = commands.add_parser("check", help="see whether a run can start: models, disk, endpoints, GPUs")
    _takes_config(check)
    check.set_defaults(run=_check)
    show = commands.add_parser("show", help="tell what an output holds, what made it, whether it is whole")
    show.add_argument("file", help="an output: HDF5, JSON Lines, JSON, table, figure or page")
    _takes_json(show)
    show.set_defaults(run=_show)
    verify = commands.add_parser(
        "verify", help="see that results are whole and made from what is there; exit code 1 if not"
    )
    verify.add_argument("paths", nargs="+", help="a results folder, or files and folders in one")
    _takes_json(verify)
    verify.set_defaults(run=_verify)
    compare = commands.add_parser(
        "compare", help="see that two runs came to the same, whatever made them; exit code 1 if not"
    )
    compare.add_argument("results", nargs=2, help="results folders")
    _takes_json(compare)
    compare.set_defaults(run=_compare)


def _takes_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--configfile", nargs="+", default=[], metavar="FILE", help=_CONFIG)
    _takes_json(parser)


def _takes_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for machines")


def read_config(files: list[str]) -> dict[str, Any]:
    """config.yaml of the working directory with the overrides laid over it, as Snakemake does."""
    import yaml

    from syncr2.errors import SyncR2Error
    from syncr2.files import read_yaml

    merged: dict[str, Any] = {}
    for name in ["config.yaml", *files]:
        try:
            found = read_yaml(name)
        except FileNotFoundError:
            hint = " Run the command at the root of the repository." if name == "config.yaml" else ""
            raise SyncR2Error(f"{name}: no such file.{hint}") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise SyncR2Error(f"{name}: not valid YAML ({error}).") from None
        if not isinstance(found, Mapping):
            raise SyncR2Error(f"{name}: found {type(found).__name__}; a mapping of keys is needed.")
        _lay_over(merged, found)
    return merged


def _lay_over(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    for key, value in above.items():
        if isinstance(value, Mapping) and isinstance(below.get(key), dict):
            _lay_over(below[key], value)
        else:
            below[key] = value


def _print(value: Any, lines: list[str], as_json: bool) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=1) if as_json else "\n".join(lines))


def _forecast(options: argparse.Namespace) -> int:
    from syncr2 import config
    from syncr2.forecast import forecast
    from syncr2.forecast.words import lines

    found = forecast(config.load(read_config(options.configfile)))
    _print(found.as_dict(), lines(found), options.json)
    return 0


def _check(options: argparse.Namespace) -> int:
    from syncr2.commands.check import check

    found = check(read_config(options.configfile))
    _print([each._asdict() for each in found], [each.text for each in found], options.json)
    return int(any(each.level == "error" for each in found))


def _show(options: argparse.Namespace) -> int:
    from syncr2.commands.show import lines, show

    found = show(options.file)
    _print(found, lines(found), options.json)
    return int(not found["whole"])


def _verify(options: argparse.Namespace) -> int:
    from syncr2.commands.verify import verify

    found = verify(options.paths)
    _print(found.as_dict(), found.lines(), options.json)
    return int(bool(found.wrong))


def _compare(options: argparse.Namespace) -> int:
    from syncr2.commands.compare import differences

    found = differences(*options.results)
    _print(found, found or ["The same scientific content."], options.json)
    return int(bool(found))
