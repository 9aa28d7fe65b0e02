"""Probes of one ordered pair, their tables, figures and page."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from syncr2 import config as configuration
from syncr2 import figures, pages
from syncr2.files import read_jsonl, write_table, write_text
from syncr2.ids import DIRECTIONS, INTERACTION, OrderedPair
from syncr2.maps.backends import backend
from syncr2.maps.folds import environment_folds, fold_of
from syncr2.maps.text_features import SeenText, dialogue_texts
from syncr2.pages.layout import download, signed
from syncr2.probing.probes import DRAWS, MEASURES, PENALTIES, Places, probe
from syncr2.probing.storage import Probed, Wanted, read_probes, write_probes
from syncr2.probing.tables import probe_tables
from syncr2.probing.targets import TARGETS, labels_of, shuffled, target_of
from syncr2.protocols.synchrony import ends
from syncr2.provenance import made_by, made_by_job
from syncr2.sotopia.scenarios import read_scenarios
from syncr2.stages.control_files import read_control_table
from syncr2.stages.pages import STAND_IN, page_head
from syncr2.store import StackedStates, open_states

MEANINGS = {
    "pairs": "probes by pair, means over layers",
    "overall": "the same, mean over pairs",
    "profile": "probes by pair and depth",
    "profile_overall": "the same, mean over pairs",
    "labels": "how often each class was given, by labeller and pair",
}


def probes(
    scenarios: str,
    states: Sequence[str],
    dialogues: Sequence[str],
    labels: Sequence[str],
    output: str,
    pair: str,
    names: Sequence[str],
    settings: Mapping[str, Any],
    device: str,
) -> None:
    """Probe the states of both agents for labels of their partner's utterances.

    Parameters
    ----------
    scenarios, output, pair : str
        Paths of the checked scenarios and of the HDF5 to write; the ordered pair.
    states, dialogues, labels : sequence of str
        Engaged states, dialogues and one labeller's labels of all seeds and shards.
    names : sequence of str
        Labels to probe.
    settings : mapping
        `folds` and `fold_seed`.
    device : str
        Where it is computed, which does not change a result beyond rounding.
    """
    environments = read_scenarios(scenarios).environments
    folds = environment_folds(list(environments.values()), settings["folds"], settings["fold_seed"])
    opened = open_states(states)
    seen = dialogue_texts(record for path in dialogues for record in read_jsonl(path))
    records = [record for path in labels for record in read_jsonl(path)]
    found: dict[str, dict[Wanted, Probed]] = {}
    for direction in DIRECTIONS:
        source = opened[ends(direction, INTERACTION).source]
        found[direction] = _direction(source, seen, records, names, environments, folds, device)
        for wanted, probed in found[direction].items():
            _log(pair, direction, wanted, probed)
    record = made_by(
        "probes",
        {**settings, "labels": list(names), "penalties": PENALTIES, "draws": DRAWS},
        [scenarios, *states, *dialogues, *labels],
    )
    write_probes(output, found, record)


def _direction(
    source: StackedStates,
    seen: Mapping[Any, SeenText],
    records: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    environments: Mapping[str, str],
    folds: Mapping[str, int],
    device: str,
) -> dict[Wanted, Probed]:
    # In an order of their own, whatever the files; only rows before which something was said.
    numbers = [i for i, row in enumerate(source.rows) if row.turn > 0]
    numbers.sort(key=lambda i: source.rows[i].key)
    rows = [source.rows[i].key for i in numbers]
    everywhere = tuple(sorted(folds))
    place = {name: i for i, name in enumerate(everywhere)}
    of_row = [environments[row.episode_id] for row in rows]
    places = Places(fold_of(of_row, folds), np.array([place[name] for name in of_row]), everywhere)
    n_folds = max(folds.values()) + 1
    targets = {
        Wanted(name, target): target_of(rows, labels_of(records, name), offset, places.environment, n_folds)
        for name in names
        for target, offset in TARGETS.items()
    }
    possible = {
        "/".join(wanted): (target, shuffled(target, rows, places.fold, DRAWS, seed=i))
        for i, (wanted, target) in enumerate(targets.items())
        if not target.reason
    }
    made = probe(
        backend(device),
        source.take(np.array(numbers, dtype=np.intp)),
        [seen[row].last for row in rows],
        possible,
        places,
    )
    return {
        wanted: Probed(
            made.get("/".join(wanted)),
            target.reason,
            everywhere,
            target.classes,
            int(target.kept.sum()),
            len(np.unique(places.environment[target.kept])),
        )
        for wanted, target in targets.items()
    }


def _log(pair: str, direction: str, wanted: Wanted, probed: Probed) -> None:
    if probed.probe is None:
        logging.warning("%s, %s, %s: %s", pair, direction, " ".join(wanted), probed.reason)
        return
    at = MEASURES.index("explained_deviance")
    best = probed.probe.layers.value[:, at].max()
    text = probed.probe.text.value[at]
    logging.info(
        "%s, %s, %s: explains %.3f of the deviance at best, its text %.3f",
        *(pair, direction, " ".join(wanted), best, text),
    )


def summarise(
    probes: Mapping[str, Mapping[str, str]],
    pairs: Sequence[Sequence[str]],
    family: Mapping[str, str],
    output: Mapping[str, str],
) -> None:
    """Gather the probes of all ordered pairs into tables, a row an unordered pair.

    Parameters
    ----------
    probes : mapping
        Files by labeller and ordered pair.
    pairs : sequence of (model, model)
    family : mapping
    output : mapping
        Path by table name.
    """
    found = {
        labeller: {OrderedPair.parse(pair): read_probes(path) for pair, path in files.items()}
        for labeller, files in probes.items()
    }
    tables = probe_tables(found, [(first, second) for first, second in pairs], family)
    for name, path in output.items():
        write_table(path, tables[name])


def draw(tables: Mapping[str, str], notice: str | None, output: Mapping[str, str]) -> None:
    """Draw the probes over the depth of the layer.

    Parameters
    ----------
    tables : mapping
        Paths of `profile`, `profile_overall` and `overall`.
    notice : str or None
        Warning on the figure.
    output : mapping
        `svg` and `png`.
    """
    read = {name: read_control_table(path) for name, path in tables.items()}
    figure = figures.probes_by_depth(
        read["profile"], read["profile_overall"], read["overall"], watermark=notice
    )
    figures.save(figure, output["svg"], output["png"], made_by=made_by_job("figures"))


def page(config: Mapping[str, Any], tables: Mapping[str, str], output: str) -> None:
    """Write the page on probes.

    Parameters
    ----------
    config : mapping
        The configuration as Snakemake merged it.
    tables : mapping
        Paths of the tables named in `MEANINGS`.
    output : str
    """
    experiment = configuration.load(config)
    read = {name: read_control_table(path) for name, path in tables.items()}
    # Not a table of the controls: a class, not a value, names its rows.
    read["labels"] = read["labels"].astype({"value": float})
    stand_ins = [name for name, labeller in experiment.labellers.items() if labeller.engine == STAND_IN]
    text = pages.probes_page(
        page_head(experiment),
        pages.ProbeTables(**{name: read[name] for name in ("pairs", "overall", "labels")}),
        stand_ins,
        [download(path, MEANINGS[name]) for name, path in tables.items()],
    )
    write_text(output, signed(text, made_by_job("pages")))
