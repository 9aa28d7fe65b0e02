"""Training of miniatures: readings are the experiment's own prompts, trees exact, steps repeatable."""

import dataclasses
import itertools
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from syncr2.dialogues.prompts import Prompts
from syncr2.dialogues.turns import Spoken
from syncr2.errors import SyncR2Error
from syncr2.models.loading import ModelSource, load_encoder, load_model
from syncr2.models.miniature_spec import MiniatureSpec
from syncr2.sotopia.views import agent_view, bystander_view
from syncr2.world.__main__ import main
from syncr2.world.dynamics import play
from syncr2.world.readings import READERS, Branch, reading, readings, tree
from syncr2.world.saving import CARD, MOST_BYTES, PAGE, check_folder
from syncr2.world.sentences import read
from syncr2.world.setting import draw_episode
from syncr2.world.targets import FOLDER, TARGETS, Target, read_targets
from syncr2.world.training import batches, held_out_loss, rate, train, tree_loss, untrained
from syncr2.world.trials import self_play
from syncr2.world.workers import train_all

torch.set_num_threads(1)

PROMPTS = Prompts("resources/prompts")
SHAPE = {"seed": 1, "layers": 2, "hidden_size": 16, "intermediate_size": 24, "heads": 2, "kv_heads": 1}
REST = {"vocabulary": 1000, "context": 4096, "initializer_range": 0.2}


def target(architecture="llama", chat_format="llama-3", n=16, **more):
    spec = MiniatureSpec.from_dict(
        {**SHAPE, **REST, **more, "architecture": architecture, "chat_format": chat_format}
    )
    return Target("tiny", "miniatures", spec, n, 1.0, (0.6, 0.2, 0.2), 4, 0.003, 1)


@pytest.fixture(scope="module", params=["llama-3", "mistral", "llama-2"])
def tiny(request):
    architecture, more = ("mistral", {"sliding_window": 60}) if request.param == "mistral" else ("llama", {})
    return untrained(target(architecture, request.param, **more), PROMPTS)


def test_a_tree_keeps_what_branches_share_once():
    found = tree(
        [
            Branch([5, 6, 7, 9], [False, False, False, True]),
            Branch([5, 6, 8, 9], [False, False, True, True]),
            Branch([5, 6, 7, 4], [False, True, False, True]),
        ]
    )
    assert found.ids.tolist() == [5, 6, 7, 9, 8, 9, 4]
    assert found.parents.tolist() == [-1, 0, 1, 2, 1, 4, 2]
    assert found.positions.tolist() == [0, 1, 2, 3, 2, 3, 3]
    assert found.scored.tolist() == [False, True, False, True, True, True, True]
    assert np.flatnonzero(found.sees()[6]).tolist() == [0, 1, 2, 6]
    assert np.flatnonzero(found.sees(window=2)[6]).tolist() == [2, 6]


@torch.inference_mode()
def test_the_loss_of_a_tree_is_that_of_its_prompts_read_one_by_one(tiny):
    model, encoder = tiny
    trees, total, n, everything, n_all = [], 0.0, 0, 0.0, 0
    for number, reader in enumerate(READERS):
        episode = draw_episode(2, number)
        turns = play(episode, 0, 1.0)[:7]
        branches = reading(episode, turns, 1 + number % 2, reader, encoder, PROMPTS, 1)
        trees.append(tree(branches))
        seen, met = set(), set()
        for branch in branches:
            logits = model(torch.tensor([branch.ids])).logits[0].log_softmax(-1)
            for i, score in enumerate(branch.scored):
                if i and tuple(branch.ids[: i + 1]) not in met:
                    met.add(tuple(branch.ids[: i + 1]))
                    everything -= float(logits[i - 1, branch.ids[i]])
                    n_all += 1
                # Lines heard early stand in each later prompt, and count once.
                if score and tuple(branch.ids[: i + 1]) not in seen:
                    seen.add(tuple(branch.ids[: i + 1]))
                    total -= float(logits[i - 1, branch.ids[i]])
                    n += 1
    window = getattr(model.config, "sliding_window", None)
    assert sum(int(each.scored.sum()) for each in trees) == n
    assert float(tree_loss(model, trees, window, total=True)) == pytest.approx(total, rel=1e-5)
    assert float(tree_loss(model, trees, window)) == pytest.approx(total / n, rel=1e-5)
    found = float(tree_loss(model, trees, window, everything=True))
    assert found == pytest.approx(everything / n_all, rel=1e-5)


def test_prompts_are_byte_for_byte_those_of_the_experiment(tiny):
    _, encoder = tiny
    stop = encoder.tokenizer.eos_token_id
    for number, reader in itertools.product(range(3), READERS):
        episode = draw_episode(3, number)
        turns = play(episode, 0, 1.0)
        spoken = [Spoken(t.turn, episode.agents[t.agent - 1].name, t.text) for t in turns]
        for agent in (1, 2):
            found = reading(episode, turns, agent, reader, encoder, PROMPTS, stop)
            for branch, turn in zip(found, turns[agent - 1 :: 2], strict=True):
                if reader == "engaged":
                    prompt = PROMPTS.engaged(agent_view(episode, agent), spoken[: turn.turn])
                else:
                    prompt = PROMPTS.bystander(
                        bystander_view(episode, agent, reader == "private"), spoken[: turn.turn]
                    )
                ids = encoder.encode(prompt)
                assert branch.ids[: len(ids)] == ids
                answer = branch.ids[len(ids) :]
                assert answer[-1] == stop
                assert all(branch.scored[len(ids) :])
                said = encoder.tokenizer.decode(answer[:-1])
                scored = [i for i in range(len(ids)) if branch.scored[i]]
                heard = encoder.tokenizer.decode([ids[i] for i in scored])
                if reader == "engaged":
                    assert said == f" {turn.text}"
                    assert not scored
                elif turn.turn:
                    assert said.startswith(" *")
                    assert said.endswith("*")
                    lines = [f"Turn {s.turn} | {s.speaker}: {s.text}" for s in spoken[: turn.turn]]
                    assert heard.strip() == "\n".join(lines)
                else:
                    assert said == " *nobody has spoken yet.*"
                    assert not scored


def test_readings_and_batches_repeat_themselves(tiny):
    _, encoder = tiny

    def first():
        source = readings(4, 0.5, (0.6, 0.2, 0.2), encoder, PROMPTS, 1)
        return list(itertools.islice(batches(source, 2, 4), 4))

    for one, two in zip(first(), first(), strict=True):
        for left, right in zip(one, two, strict=True):
            assert all(
                np.array_equal(a, b) for a, b in zip(vars(left).values(), vars(right).values(), strict=True)
            )
    lengths = [[len(each.ids) for each in batch] for batch in first()]
    assert all(max(batch) - min(batch) < 250 for batch in lengths)


@pytest.mark.parametrize("bfloat16", [False, True])
def test_training_is_the_same_bit_for_bit_and_the_loss_falls(bfloat16):
    first, second = (train(target(), PROMPTS, bfloat16=bfloat16) for _ in range(2))
    for one, two in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(one, two)
    assert first.curve == second.curve
    assert first.steps == 4
    assert first.curve[-1][1] < first.curve[0][1]
    other = train(dataclasses.replace(target(), world_seed=2), PROMPTS, bfloat16=bfloat16, most_steps=1)
    assert other.first != first.first[:1]


def test_global_randomness_is_left_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    untrained(target(), PROMPTS)
    assert torch.equal(torch.rand(1), expected)


def test_the_rate_goes_up_straight_and_down_by_a_cosine():
    rates = [rate(step, 100) for step in range(100)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[5] == 1.0
    assert rates[-1] == pytest.approx(0.1, abs=0.001)
    assert rates[52] == pytest.approx(0.1 + 0.45 * (1 + math.cos(math.pi * 47 / 95)))
    assert all(a >= b for a, b in itertools.pairwise(rates[4:]))


def test_held_out_loss_of_a_uniform_model_is_the_logarithm_of_its_vocabulary():
    model, encoder = untrained(target(), PROMPTS)
    with torch.no_grad():
        model.lm_head.weight.zero_()
    for reader in range(3):
        found = held_out_loss(model, encoder, PROMPTS, 1.0, reader, n=3)
        assert found == pytest.approx(math.log(model.config.vocab_size), rel=1e-5)


def test_self_play_takes_turns_and_its_utterances_are_lines(tiny):
    model, encoder = tiny
    episodes = [draw_episode(4, i) for i in range(3)]
    found = self_play(model, encoder, PROMPTS, episodes, max_turns=3)
    assert [len(texts) for texts in found] == [3, 3, 3]
    assert all("\n" not in text for texts in found for text in texts)
    alone = self_play(model, encoder, PROMPTS, episodes[1:2], max_turns=3)
    assert alone[0] == found[1]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """What the command makes of a shipped target that is trained for two steps only."""
    readings = str(2 * read_targets()["mini-mistral-v0.1"].batch)
    folder = tmp_path_factory.mktemp("miniatures")
    name = "mini-mistral-v0.1"
    arguments = [
        "train",
        name,
        "--readings",
        readings,
        "--threads",
        "1",
        "--trials",
        "2",
        "--output",
        str(folder),
    ]
    assert main(arguments) == 0
    return folder / name


def test_a_trained_folder_is_a_model_like_any_other(saved):
    card = check_folder(saved)
    source = ModelSource(name="m", path=str(saved))
    model, encoder = load_model(source, "cpu"), load_encoder(source)
    assert type(model).__name__ == "MistralForCausalLM"
    assert model.config.sliding_window == 256
    assert "untrained_miniature" not in model.config.to_dict()
    assert card["parameters"] == sum(p.numel() for p in model.parameters())
    ids = encoder.encode("Turn 0 | Ada:")
    assert ids[0] == encoder.tokenizer.bos_token_id
    # Weights are shipped in half precision, and the card was measured on those.
    assert (
        2 * card["parameters"]
        < (saved / "model.safetensors").stat().st_size
        < 2 * card["parameters"] + 20_000
    )
    loss = held_out_loss(model, encoder, PROMPTS, 1.0, 0, 2)
    assert math.exp(loss) == pytest.approx(card["measured"]["perplexity"]["engaged"], rel=1e-3)


def regenerated(card):
    """The losses of the first steps, trained again from what the card says."""
    values = card["target"]
    spec = MiniatureSpec.from_dict(values["spec"])
    again = Target(**{**values, "spec": spec, "readers": tuple(values["readers"])})
    return train(again, PROMPTS, most_steps=len(card["training"]["first_losses"])).first


def test_the_first_steps_come_out_as_the_card_says(saved):
    card = check_folder(saved)
    assert len(card["training"]["first_losses"]) == 2
    assert regenerated(card) == card["training"]["first_losses"]


def test_a_card_says_what_was_measured(saved):
    card = check_folder(saved)
    page = (saved / PAGE).read_text()
    assert card["training"]["steps"] == 2
    assert card["training"]["readings"] == 2 * card["target"]["batch"]
    assert len(card["training"]["curve"]) == 2
    assert f"{card['measured']['perplexity']['public']:.3f}" in page
    assert card["measured"]["trial"]["n_turns"] > 0
    assert all(line in page for line in card["measured"]["sample"])


def test_files_that_differ_from_the_card_are_found(saved, tmp_path, capsys):
    for change in ("config.json", PAGE):
        copy = tmp_path / change.split(".")[0] / "model"
        shutil.copytree(saved, copy)
        with (copy / change).open("a") as file:
            file.write("\n")
        with pytest.raises(SyncR2Error, match=rf"{change} differ"):
            check_folder(copy)
        assert main(["check", str(copy.parent)]) == 1
    assert main(["check", str(saved.parent)]) == 0
    (saved / CARD).rename(tmp_path / CARD)
    assert main(["train", saved.name, "--readings", "8", "--output", str(saved.parent)]) == 1
    assert "holds no card" in capsys.readouterr().err
    (tmp_path / CARD).rename(saved / CARD)


def test_the_shipped_targets_are_six_of_two_families_and_fit_the_limit():
    targets = read_targets()
    six = [each for each in targets.values() if each.group == "miniatures"]
    assert len(six) == 6
    assert sorted(each.spec.architecture for each in six) == ["llama"] * 3 + ["mistral"] * 3
    assert (
        len({(t.spec.layers, t.spec.hidden_size, t.readings, t.spec.chat_format, t.spec.tied) for t in six})
        == 6
    )
    parameters = []
    for each in six:
        shape = each.spec
        head = shape.hidden_size // shape.heads
        block = 2 * shape.hidden_size * head * (shape.heads + shape.kv_heads)
        block += 3 * shape.hidden_size * shape.intermediate_size
        tables = (1 if shape.tied else 2) * shape.vocabulary * shape.hidden_size
        parameters.append(tables + shape.layers * block)
    assert all(300_000 < n < 3_000_000 for n in parameters)
    assert 2 * sum(parameters) < MOST_BYTES - 6 * 200_000
    dial = [each for each in targets.values() if each.group == "calibration"]
    assert sorted({each.coupling for each in dial}) == [0, 0.5, 1]
    same = {
        dataclasses.replace(each, name="", coupling=0.0, spec=dataclasses.replace(each.spec, seed=0))
        for each in dial
    }
    assert len(same) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"coupling": 1.5}, r"coupling is 1\.5"),
        ({"readers": [1, 0]}, r"a share for each of engaged, private, public"),
        ({"batch": 0}, r"batch is 0"),
        ({"layers": 0}, r"layers"),
    ],
)
def test_targets_that_cannot_be_trained_are_refused(change, message, tmp_path):
    import yaml

    content = yaml.safe_load(TARGETS.read_text())
    content["miniatures"] = {"mine": {**content["miniatures"]["mini-llama-2"], **change}}
    path = tmp_path / "targets.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(SyncR2Error, match=message):
        read_targets(path)
    del content["defaults"]["world_seed"]
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(SyncR2Error, match=r"missing world_seed"):
        read_targets(path)


def test_side_by_side_gives_what_one_after_the_other_gives(tmp_path):
    chosen = [dataclasses.replace(target(n=4, layers=n), name=f"tiny-{n}") for n in (1, 2)]
    for jobs in (1, 2):
        train_all(
            chosen,
            tmp_path / str(jobs),
            Path("resources/prompts"),
            jobs=jobs,
            threads=1,
            device="cpu",
            n_trials=1,
        )
    for each in chosen:
        one, two = (check_folder(tmp_path / jobs / each.name) for jobs in ("1", "2"))
        assert one["files"] == two["files"]
        assert one["measured"] == two["measured"]


def test_unknown_names_are_answered_with_those_that_exist(capsys):
    assert main(["train", "gpt"]) == 1
    assert "mini-llama-2" in capsys.readouterr().err


def test_the_world_plays_and_its_files_are_whole(tmp_path):
    assert main(["scenarios", str(tmp_path / "s"), "--environments", "6", "--episodes-each", "1"]) == 0
    assert main(["dialogues", str(tmp_path / "s"), str(tmp_path / "d")]) == 0
    from syncr2.files import read_jsonl, read_table

    records = read_jsonl(tmp_path / "d" / "dialogues.jsonl")
    table = read_table(tmp_path / "d" / "truth.tsv")
    assert len(table) == sum(len(record["turns"]) for record in records)
    assert all(read(turn["text"]) for record in records for turn in record["turns"])
    assert main(["dialogues", str(tmp_path / "s"), str(tmp_path / "d"), "--coupling", "2"]) == 1


def test_shipped_miniatures_are_what_their_cards_say():
    folders = [path.parent for path in FOLDER.glob(f"*/{CARD}")]
    size = sum(path.stat().st_size for folder in folders for path in folder.iterdir())
    assert size <= MOST_BYTES
    cards = {folder.name: check_folder(folder) for folder in folders}
    for name, card in cards.items():
        # Trained on other prompts than the experiment's, or on other terms than the targets': train again.
        assert card["prompts"] == {each: PROMPTS.sha256(each) for each in card["prompts"]}
        assert card["target"] == json.loads(json.dumps(dataclasses.asdict(read_targets()[name])))
    for card in sorted(cards.values(), key=lambda card: card["parameters"])[:1]:
        # Other processors and thread counts round otherwise.
        assert regenerated(card) == pytest.approx(card["training"]["first_losses"], rel=1e-2)
