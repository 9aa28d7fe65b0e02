"""A configuration is either whole and right, or refused with everything that is wrong, in words."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from configuring import (
    ENDPOINT,
    LLAMA,
    MINIATURE,
    REPOSITORY,
    cases,
    merged,
    of_judge,
    of_models,
    problems,
    read_yaml,
)

from syncr2.config import load, only, schema, slice_of
from syncr2.errors import SyncR2Error
from syncr2.files import read_json
from syncr2.judges.base import JudgeSettings
from syncr2.models.miniature_spec import MiniatureSpec

# First line: what is changed in config.yaml. Then: the whole problem.
WRONG = """
seeds: 3
seeds: found 3 (a whole number); allowed: list of at least 1 (each: whole number of at least 0; none twice).
Write a list: [3].

seeds: []
seeds: found []; allowed: list of at least 1 (each: whole number of at least 0; none twice).

seeds: [0, true]
seeds[1]: found true (a truth value); allowed: whole number of at least 0.

seeds: [1.0]
seeds[0]: found 1.0; allowed: whole number of at least 0. Write 1.

seeds: [-1]
seeds[0]: found -1; allowed: whole number of at least 0.

seeds: [0, 1, 2, 0]
seeds: found 0 more than once; each may stand there once.

{synchrony: {split_seeds: [2, 2]}}
synchrony.split_seeds: found 2 more than once; each may stand there once.

{dialogue: {batch_size: true}}
dialogue.batch_size: found true (a truth value); allowed: whole number of at least 1.

{dialogue: {temperature: no}}
dialogue.temperature: found false (a truth value); allowed: number of at least 0.

{dialogue: {temperature: .nan}}
dialogue.temperature: found .nan; allowed: number of at least 0. A finite number is needed.

{synchrony: {penalty: .inf}}
synchrony.penalty: found .inf; allowed: number above 0. A finite number is needed.

{synchrony: {penalty: 0}}
synchrony.penalty: found 0; allowed: number above 0.

{synchrony: {penalty: -0.1}}
synchrony.penalty: found -0.1; allowed: number above 0.

{synchrony: {penalty: 1e-3}}
synchrony.penalty: found '1e-3' (a text); allowed: number above 0. YAML takes it for a text; write 0.001.

{dialogue: {top_p: 1.5}}
dialogue.top_p: found 1.5; allowed: number above 0 and up to 1.

{dialogue: {max_turns: 2}}
dialogue.max_turns: found 2; allowed: whole number of at least 3.

{dialogue: {max_turns: '16'}}
dialogue.max_turns: found '16' (a text); allowed: whole number of at least 3. Write it without quotes, and
in a file: `--config` takes all in { } and [ ] for text.

{synchrony: {passive: 'yes'}}
synchrony.passive: found 'yes' (a text); allowed: true or false. Write it without quotes, and in a file:
`--config` takes all in { } and [ ] for text.

{states: {precision: float61}}
states.precision: found 'float61'; allowed: `float16`, `float32`. Did you mean `float16`?

{dialogue: {device: CUDA}}
dialogue.device: found 'CUDA'; allowed: `auto`, `cpu`, `cuda`, `mps`. Did you mean `cuda`?

{synchrony: {samples: atuo}}
synchrony.samples: found 'atuo'; allowed: whole number of at least 10 or `auto`. Did you mean `auto`?

{synchrony: {protocols: paper}}
synchrony.protocols: found 'paper' (a text); allowed: list (each: `paper`, `corrected`; none twice) with
`paper` among them. Write a list: [paper].

{synchrony: {protocols: [corrected]}}
synchrony.protocols: found ['corrected']; allowed: list (each: `paper`, `corrected`; none twice) with `paper`
among them.

{synchrony: {protocols: []}}
synchrony.protocols: found []; allowed: list (each: `paper`, `corrected`; none twice) with `paper` among them.

{synchrony: {protocols: [paper, corected]}}
synchrony.protocols[1]: found 'corected'; allowed: `paper`, `corrected`. Did you mean `corrected`?

{synchrony: {folds: 2}}
synchrony.folds: found 2; allowed: whole number from 3 to 20.

{synchrony: {penalties: []}}
synchrony.penalties: found []; allowed: list of at least 1 (each: number above 0; none twice).

{synchrony: {penalties: [1, 0]}}
synchrony.penalties[1]: found 0; allowed: number above 0.

{synchrony: {penalties: [1, 1.0]}}
synchrony.penalties: found 1, 1.0 more than once; each may stand there once.

{synchrony: {null_draws: 18}}
synchrony.null_draws: found 18; allowed: `0` or whole number of at least 19.

{synchrony: {null_draws: 0.0}}
synchrony.null_draws: found 0.0; allowed: `0` or whole number of at least 19. Write 0.

{synchrony: {null_draws: '99'}}
synchrony.null_draws: found '99' (a text); allowed: `0` or whole number of at least 19. Write it without
quotes, and in a file: `--config` takes all in { } and [ ] for text.

{synchrony: {null_draws: true}}
synchrony.null_draws: found true (a truth value); allowed: `0` or whole number of at least 19.

{synchrony: {bootstrap_draws: 99}}
synchrony.bootstrap_draws: found 99; allowed: `0` or whole number of at least 100.

{synchrony: {profile_lags: [1, 0]}}
synchrony.profile_lags[1]: found 0; allowed: whole number of at least 1.

{synchrony: {device: mps}}
synchrony.device: found 'mps'; allowed: `auto`, `cpu`, `cuda`.

{synchrony: {precision: float32}}
synchrony.precision: found 'float32'; allowed: `float64`, `mixed`. Did you mean `float64`?

{synchrony: {memory_gb: 1}}
synchrony.memory_gb: found 1; allowed: number above 1.

{synchrony: {samples: 5}}
synchrony.samples: found 5; allowed: whole number of at least 10 or `auto`.

{statistics: }
statistics: found nothing (null); allowed: section of keys. Leave the key out to keep its default.

{statistics: {draws: 99}}
statistics.draws: found 99; allowed: `0` or whole number of at least 100.

{statistics: {relabellings: 18}}
statistics.relabellings: found 18; allowed: whole number of at least 19.

{statistics: {seed: -1}}
statistics.seed: found -1; allowed: whole number from 0 to 4294967295.

{statistics: {max_failure_rate: 2%}}
statistics.max_failure_rate: found '2%' (a text); allowed: number from 0 to 1.

{report: {title: 7}}
report.title: found 7 (a whole number); allowed: text without < and >. Put a text in quotes.

{report: {title: no}}
report.title: found false (a truth value); allowed: text without < and >. YAML reads yes, no, on and off as
truth values. Put a text in quotes.

{results: 'a/{b}'}
results: found 'a/{b}'; allowed: path without braces, which Snakemake would take for a wildcard.

{scenarios: {public: {url: 'ftp://host'}}}
scenarios.public.url: found 'ftp://host'; allowed: address that starts with http:// or https://.

pairs: [[llama-2-7b]]
pairs[0]: found ['llama-2-7b']; allowed: list of 2 items (each: text).
"""


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths of config.yaml are those of the repository's root."""
    monkeypatch.chdir(REPOSITORY)


@pytest.fixture
def published() -> dict[str, Any]:
    return read_yaml("config.yaml")


class TestRight:
    def test_published_experiment_has_the_published_numbers(self, published):
        experiment = load(published)
        assert len(experiment.models) == 6
        assert len(experiment.pairs) == 21
        assert len(experiment.ordered_pairs) == len({pair.id for pair in experiment.ordered_pairs}) == 36
        assert len(experiment.ordered_pairs) * len(experiment.seeds) * experiment.scenarios.episodes == 48_600
        assert [condition.name for condition in experiment.synchrony.conditions] == [
            *("interaction", "passive", "lag3", "lag5", "untrained", "pseudo")
        ]
        families = [
            experiment.family[first] == experiment.family[second] for first, second in experiment.pairs
        ]
        assert (sum(families), len(families) - sum(families)) == (12, 9)
        assert experiment.scenarios.folder is None
        assert experiment.n_shards == 1

    def test_demo_is_laid_over_the_published_experiment(self, published):
        experiment = load(merged(published, read_yaml("demo.yaml")))
        n = len(experiment.models)
        assert len(experiment.pairs) == n * (n + 1) // 2
        for name, model in experiment.models.items():
            card = read_json(Path(model.path) / "card.json")
            assert (card["name"], model.family) == (name, card["target"]["spec"]["architecture"])
            perplexity = card["measured"]["perplexity"]["engaged"]
            assert model.covariates == {"perplexity": pytest.approx(perplexity, abs=5e-4)}
        assert experiment.scenarios.episodes == 60
        assert len(experiment.seeds) == 3
        assert experiment.synchrony.samples is None
        assert [judge.engine for judge in experiment.judges.values()] == ["oracle"]
        assert experiment.notice
        # Not in demo.yaml, so as in config.yaml.
        assert experiment.dialogue.temperature == published["dialogue"]["temperature"]
        assert experiment.synchrony.penalty == published["synchrony"]["penalty"]
        assert experiment.synchrony.null_draws == 99
        assert experiment.synchrony.penalties == (0.1, 10, 1000)
        assert "pseudo" in [condition.name for condition in experiment.synchrony.conditions]

    def test_input_is_left_as_it_was(self, published):
        before = merged(published, {})
        load(published)
        assert published == before

    def test_defaults_of_models_and_judges_are_filled_in(self, published):
        models = [{"name": "a", "family": "f", "path": "owner/name", "covariates": {"ifeval": 1, "musr": 1}}]
        judges = [{"name": "gpt", **ENDPOINT}]
        experiment = load({**published, "models": models, "judges": judges})
        model = experiment.models["a"]
        assert (model.dtype, model.gpus, model.context, model.revision) == ("bfloat16", 1, None, None)
        assert experiment.judges["gpt"] == JudgeSettings("gpt", **ENDPOINT)

    def test_schema_knows_exactly_the_keys_and_defaults_of_the_dataclasses(self):
        items = schema()["properties"]
        for rule, kind in (
            (items["judges"]["items"], JudgeSettings),
            (items["models"]["items"]["properties"]["miniature"], MiniatureSpec),
        ):
            fields = {field.name: field.default for field in dataclasses.fields(kind)}
            # YAML knows lists only.
            given = {
                key: list(value) if isinstance(value, tuple) else value
                for key, value in fields.items()
                if value is not dataclasses.MISSING
            }
            assert set(rule["properties"]) == set(fields)
            assert set(rule["required"]) == set(fields) - set(given)
            assert {
                key: inner["default"] for key, inner in rule["properties"].items() if "default" in inner
            } == given

    def test_some_pairs_in_the_order_given_each_in_the_order_of_the_models(self, published):
        pairs = [["llama-3-8b", "llama-2-7b"], ["llama-2-7b", "llama-2-7b"]]
        experiment = load({**published, "pairs": pairs})
        # As tables of judgements name them; the two sides of a pair would not meet otherwise.
        assert experiment.pairs == (("llama-2-7b", "llama-3-8b"), ("llama-2-7b", "llama-2-7b"))
        assert [pair.id for pair in experiment.ordered_pairs] == [
            *("llama-2-7b--llama-3-8b", "llama-3-8b--llama-2-7b", "llama-2-7b--llama-2-7b")
        ]

    def test_home_folder_is_written_out(self, published, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "config.json").write_text("{}")
        model = {**LLAMA, "name": "a", "path": "~/model"}
        experiment = load({**published, "models": [model], "results": "~/out"})
        assert experiment.models["a"].path == str(tmp_path / "model")
        assert experiment.results == tmp_path / "out"

    @pytest.mark.parametrize(("episodes", "sizes"), [(450, [450]), (451, [450, 1]), (900, [450, 450])])
    def test_shards_hold_all_episodes(self, published, episodes, sizes):
        experiment = load(merged(published, {"scenarios": {"episodes": episodes}}))
        assert [experiment.shard_episodes(shard) for shard in range(experiment.n_shards)] == sizes

    def test_slice_leaves_out_what_changes_no_result(self, published):
        settings = slice_of(load(published).dialogue, "device", "batch_size")
        assert settings["max_turns"] == 16
        assert not {"device", "batch_size"} & set(settings)

    def test_only_keeps_what_is_named(self, published):
        assert only(load(published).synchrony, "penalty", "precision") == {
            "penalty": 0.1,
            "precision": "float64",
        }

    def test_pseudo_pairs_need_two_seeds_and_are_left_out_of_a_pilot_with_one(self, published):
        pilot = load(merged(published, {"seeds": [4], "synchrony": {"samples": "auto"}}))
        assert [condition.name for condition in pilot.synchrony.conditions] == [
            *("interaction", "passive", "lag3", "lag5", "untrained")
        ]

    @pytest.mark.parametrize("key", ["passive", "untrained", "pseudo"])
    def test_each_control_can_be_left_out(self, published, key):
        found = load(merged(published, {"synchrony": {key: False}})).synchrony.conditions
        assert key not in [condition.name for condition in found]
        assert len(found) == 5

    def test_the_section_comes_out_as_it_stands(self, published):
        section = load(published).synchrony
        for key, value in published["synchrony"].items():
            if hasattr(section, key):
                found = getattr(section, key)
                assert (list(found) if isinstance(found, tuple) else found) == value
        left = set(published["synchrony"]) - {field.name for field in dataclasses.fields(section)}
        assert left == {"passive", "untrained", "pseudo", "lags"}, "these come to the conditions"

    @pytest.mark.parametrize("key", ["bootstrap_draws", "null_draws"])
    def test_no_draws_at_all_are_allowed(self, published, key):
        assert getattr(load(merged(published, {"synchrony": {key: 0}})).synchrony, key) == 0

    def test_reading_the_configuration_imports_no_numerics(self):
        heavy = {
            "torch",
            "transformers",
            "openai",
            "numpy",
            "pandas",
            "scipy",
            "sklearn",
            "h5py",
            "matplotlib",
        }
        code = (
            "import sys, yaml; from syncr2.config import load; load(yaml.safe_load(open('config.yaml')));"
            f"print(*({heavy!r} & set(sys.modules)))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.split() == []


class TestAllAtOnce:
    def test_problems_of_all_kinds_and_places_come_together(self):
        found = problems("""
            sedes: [0]
            seeds: [0, 0]
            pairs: [[llama-2-7b, lama-3-8b]]
            dialogue: {max_turns: "16", top_p: 2}
            synchrony: {lags: [4], penalty: 0}
            statistics: {covariates: [ifevl]}
            judges: [{name: gpt, engine: openai}]
            """)
        places = [line.partition(":")[0] for line in found]
        assert places == [
            "top level",
            "pairs[0]",
            "seeds",
            "dialogue.max_turns",
            "dialogue.top_p",
            "synchrony.penalty",
            "judges[0] (gpt)",
            "statistics.covariates[0]",
        ]
        # The lag can only be judged by the number of turns: it is, once that is a number.
        assert any(line.startswith("synchrony.lags[0]") for line in problems("synchrony: {lags: [4]}"))

    def test_one_bad_key_of_a_model_hides_none_of_its_others(self, tmp_path):
        found = of_models(
            {"gpus": "x", "path": str(tmp_path), "chat_template": "no.jinja", "family": "cross"}
        )
        assert [line.partition(":")[0] for line in found] == [
            *("models[0] (model-0).gpus", "models[0] (model-0).family", "models[0] (model-0).path"),
            "models[0] (model-0).chat_template",
        ]

    def test_one_bad_key_of_a_judge_hides_none_of_its_others(self):
        found = of_judge(base_url="http://user:word@host/v1", model=None, timeout=0, retires=3)
        assert [line.partition(":")[0] for line in found] == [
            *("judges[0] (gpt)", "judges[0] (gpt).timeout", "judges[0] (gpt)", "judges[0] (gpt)")
        ]
        assert "unknown key `retires`. Did you mean `retries`?" in found[0]
        assert "no `model`" in found[2]
        assert "base_url is 'http://host/v1'" in found[3]

    def test_no_problem_is_said_twice(self):
        found = of_models({"miniature": {**MINIATURE, "layer": 3}, "path": None, "memory_gb": float("inf")})
        assert len(found) == len(set(found)) == 2

    @pytest.mark.parametrize("raw", [None, [], "config.yaml", 3])
    def test_what_is_no_configuration_at_all(self, raw):
        with pytest.raises(SyncR2Error, match=r"top level: found .*allowed: section of keys"):
            load(raw)

    def test_an_empty_one_lacks_every_section(self):
        with pytest.raises(SyncR2Error, match=f"has {len(schema()['required'])} problems"):
            load({})


class TestUnknownKeys:
    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ("dialog: {}", "top level: unknown key `dialog`. Did you mean `dialogue`?"),
            ("Seeds: [1]", "top level: unknown key `Seeds`. Did you mean `seeds`?"),
            ("max_turns: 4", "top level: unknown key `max_turns`. It belongs under `dialogue`."),
            ("{dialogue: {results: x}}", "dialogue: unknown key `results`. It belongs to the top level."),
            ("{dialogue: {max_turn: 4}}", "dialogue: unknown key `max_turn`. Did you mean `max_turns`?"),
            ("{scenarios: {public: {urls: x}}}", "scenarios.public: unknown key `urls`. Did you mean `url`?"),
            (
                "{scenarios: {public: {sha256: {env.json: x}}}}",
                "scenarios.public.sha256: unknown key `env.json`. Did you mean `envs.json`?",
            ),
            (
                "{states: {zzz: 1}}",
                "states: unknown key `zzz`. Allowed: device, precision, batch_tokens, self_check, bystander.",
            ),
            ("{report: {1: x}}", "report: unknown key `1`. Allowed: title, notice."),
        ],
    )
    def test_names_the_nearest(self, changes, expected):
        assert problems(changes) == [expected]

    def test_inside_a_model_a_miniature_and_a_judge(self):
        mini = {"name": "mini", "path": None, "miniature": {**MINIATURE, "layer": 2}}
        assert of_models({"gpu": 1}, mini) == [
            "models[0] (model-0): unknown key `gpu`. Did you mean `gpus`?",
            "models[1] (mini).miniature: unknown key `layer`. Did you mean `layers`?",
        ]
        assert of_judge(temprature=0) == [
            "judges[0] (gpt): unknown key `temprature`. Did you mean `temperature`?"
        ]


class TestWrongValues:
    @pytest.mark.parametrize(("changes", "expected"), cases(WRONG))
    def test_says_found_and_allowed(self, changes, expected):
        assert problems(changes) == [expected]

    def test_missing_key_says_what_it_may_be(self, published):
        del published["dialogue"]["max_turns"], published["judges"][0]["name"]
        with pytest.raises(SyncR2Error) as raised:
            load(published)
        assert "dialogue: the key `max_turns` is missing; allowed: whole number of at least 3." in str(
            raised.value
        )
        assert "judges[0]: the key `name` is missing; allowed: up to 60 letters" in str(raised.value)

    def test_an_integer_beyond_all_floats_is_no_crash(self):
        assert problems({"synchrony": {"penalty": 10**400}})[0].startswith("synchrony.penalty: found 1000")

    @pytest.mark.parametrize(
        "name",
        ["a--b", "a/b", "../a", "", "a b", "-a", "a.", "a..b", "a\n", "ä", "a" * 61, "{a}", "a" * 50 + "!"],
    )
    def test_names_that_would_not_do_in_paths(self, name):
        (line,) = of_models({"name": name})
        assert "\n" not in line
        assert line.startswith("models[0]")
        assert ".name: found " in line
        assert "allowed: up to 60 letters and digits, with single" in line
        assert len(line) < 400

    @pytest.mark.parametrize("name", ["7", "llama-3.2-3b", "a_b", "A", "a" * 60])
    def test_names_that_do(self, published, name):
        assert name in load({**published, "models": [{**LLAMA, "name": name}]}).models

    def test_a_name_that_yaml_takes_for_a_number(self):
        assert of_models({"name": 3.2})[0].endswith("Put a text in quotes.")

    @pytest.mark.parametrize("key", ["api_key_env", "base_url"])
    @pytest.mark.parametrize("value", ["sk-very-secret", "user:very-secret@host", ["very-secret"]])
    def test_what_may_be_a_key_is_not_shown(self, key, value):
        (line,) = of_judge(**{key: value})
        assert line.startswith(f"judges[0] (gpt).{key}: ")
        assert "secret" not in line


def test_configuration_is_read_wherever_the_command_is_started(published, tmp_path, monkeypatch):
    """The bundled folders and the schema belong to the project, not to the working directory."""
    monkeypatch.chdir(tmp_path)
    over = {"scenarios": {"source": "bundled", "episodes": "all"}, "synchrony": {"samples": "auto"}}
    experiment = load(merged(published, {**over, "prompts": str(REPOSITORY / "resources" / "prompts")}))
    assert experiment.scenarios.folder == REPOSITORY / "resources" / "scenarios"
    assert Path(experiment.results) == Path("results")
