"""The toy world from a terminal: `python -m syncr2.world --help`."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from syncr2.errors import SyncR2Error

_PROMPTS = Path(__file__).resolve().parents[3] / "resources" / "prompts"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; gives the exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        options.run(options)
    except SyncR2Error as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m syncr2.world", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    train = commands.add_parser("train", help="train miniatures into resources/miniatures")
    train.add_argument("names", nargs="*", help="which (default: all of the group)")
    train.add_argument("--group", default="miniatures", help="miniatures (default) or calibration")
    train.add_argument("--output", type=Path, help="folder (default: resources/miniatures)")
    train.add_argument("--prompts", type=Path, default=_PROMPTS, help="templates to learn to answer")
    train.add_argument(
        "--threads", type=int, help="threads of torch; 1 makes training repeatable bit for bit"
    )
    train.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    train.add_argument("--readings", type=int, help="fewer than the target says, for a trial")
    train.add_argument("--missing", action="store_true", help="only those that are not in the folder yet")
    train.add_argument("--coupling", type=float, help="of the world, 0 to 1, instead of the target's")
    train.add_argument("--name", help="what to call it, where one target is trained otherwise")
    train.add_argument("--trials", type=int, default=120, help="dialogues that each is measured on")
    train.add_argument("--jobs", type=int, default=1, help="miniatures trained at a time (default: 1)")
    train.set_defaults(run=_train)
    check = commands.add_parser("check", help="see that trained miniatures are what their cards say")
    check.add_argument("folder", nargs="?", type=Path, help="folder (default: resources/miniatures)")
    check.set_defaults(run=_check)
    scenarios = commands.add_parser("scenarios", help="write episodes of the world in Sotopia's three files")
    scenarios.add_argument("output", type=Path, help="folder")
    scenarios.add_argument("--seed", type=int, default=2026)
    scenarios.add_argument("--environments", type=int, default=36)
    scenarios.add_argument(
        "--episodes-each", type=int, default=2, help="pairs of people in each (default: 2)"
    )
    scenarios.set_defaults(run=_scenarios)
    dialogues = commands.add_parser("dialogues", help="let the world itself play: dialogues, hidden states")
    dialogues.add_argument("scenarios", type=Path, help="folder of three files")
    dialogues.add_argument("output", type=Path, help="folder for dialogues.jsonl and truth.tsv")
    dialogues.add_argument("--seed", type=int, default=0)
    dialogues.add_argument("--coupling", type=float, default=1.0)
    dialogues.set_defaults(run=_dialogues)
    labels = commands.add_parser("labels", help="labels of every turn of a run, read from what was said")
    labels.add_argument("results", type=Path, help="results folder of a run on episodes of the world")
    labels.add_argument("output", type=Path, help="table to write")
    labels.set_defaults(run=_labels)
    return parser


def _train(options: argparse.Namespace) -> None:
    from syncr2.world.saving import CARD
    from syncr2.world.targets import FOLDER, GROUPS, read_targets
    from syncr2.world.workers import train_all

    targets = read_targets()
    names = options.names or [name for name, target in targets.items() if target.group == options.group]
    unknown = [name for name in names if name not in targets]
    if unknown or not names:
        what = f"no miniature {unknown[0]!r}" if unknown else f"no group {options.group!r}"
        raise SyncR2Error(f"There is {what}. Groups: {', '.join(GROUPS)}; miniatures: {', '.join(targets)}.")
    chosen = [targets[name] for name in names]
    if options.readings:
        chosen = [replace(target, readings=options.readings) for target in chosen]
    if options.coupling is not None:
        if not 0 <= options.coupling <= 1:
            raise SyncR2Error(f"--coupling is {options.coupling}; a number from 0 to 1 is needed.")
        chosen = [replace(target, coupling=options.coupling) for target in chosen]
    if options.name:
        if len(chosen) > 1:
            raise SyncR2Error(f"--name is for one miniature, and there are {len(chosen)}. Name one target.")
        chosen = [replace(chosen[0], name=options.name)]
    folder = options.output or FOLDER
    if options.missing:
        chosen = [target for target in chosen if not (folder / target.name / CARD).is_file()]
    train_all(
        chosen,
        folder,
        options.prompts,
        jobs=options.jobs,
        threads=options.threads,
        device=options.device,
        n_trials=options.trials,
    )


def _check(options: argparse.Namespace) -> None:
    from syncr2.world.saving import CARD, check_folder
    from syncr2.world.targets import FOLDER

    folder = options.folder or FOLDER
    found = sorted(path.parent for path in folder.glob(f"*/{CARD}"))
    if not found:
        raise SyncR2Error(f"{folder}: holds no trained miniature. `make miniatures` trains them.")
    for each in found:
        card = check_folder(each)
        logging.info("%s: as its card says, %d parameters", each, card["parameters"])


def _scenarios(options: argparse.Namespace) -> None:
    from syncr2.world.setting import write_folder

    write_folder(options.output, options.seed, options.environments, options.episodes_each)


def _dialogues(options: argparse.Namespace) -> None:
    from syncr2.files import write_jsonl, write_table
    from syncr2.sotopia.scenarios import read_folder
    from syncr2.world.dynamics import play
    from syncr2.world.tables import truth_table, world_record

    if not 0 <= options.coupling <= 1:
        raise SyncR2Error(f"--coupling is {options.coupling}; a number from 0 to 1 is needed.")
    episodes = read_folder(options.scenarios).episodes
    played = [(episode, play(episode, options.seed, options.coupling), options.seed) for episode in episodes]
    write_jsonl(options.output / "dialogues.jsonl", (world_record(*each) for each in played))
    write_table(options.output / "truth.tsv", truth_table(played))


def _labels(options: argparse.Namespace) -> None:
    from syncr2.files import read_jsonl, write_table
    from syncr2.sotopia.scenarios import read_scenarios
    from syncr2.world.tables import heard_table

    episodes = {each.id: each for each in read_scenarios(options.results / "scenarios.json").episodes}
    shards = sorted((options.results / "dialogues").glob("*/seed-*/shard-*.jsonl"))
    if not shards:
        raise SyncR2Error(f"{options.results}: holds no dialogues. Run the workflow first.")
    dialogues = (dialogue for shard in shards for dialogue in read_jsonl(shard))
    write_table(options.output, heard_table(episodes, dialogues))


if __name__ == "__main__":
    sys.exit(main())
