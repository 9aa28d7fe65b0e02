"""Miniature models: real classes, the same bytes from the same seed, nothing lost, nothing half-written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from syncr2.errors import SyncR2Error
from syncr2.files import sha256_file
from syncr2.models.loading import ModelSource, load_untrained
from syncr2.models.miniatures import CORPUS_TEMPLATES, MiniatureSpec, build_miniature, miniature_corpus

REPOSITORY = Path(__file__).parents[2]
SCENARIOS = REPOSITORY / "resources" / "scenarios"
PROMPTS = REPOSITORY / "resources" / "prompts"

SPECS = {
    "mistral": MiniatureSpec(
        seed=11,
        architecture="mistral",
        layers=2,
        hidden_size=32,
        intermediate_size=64,
        heads=4,
        kv_heads=2,
        vocabulary=1024,
        context=512,
        chat_format="mistral",
        sliding_window=48,
    ),
    "llama-2": MiniatureSpec(
        seed=21,
        architecture="llama",
        layers=2,
        hidden_size=40,
        intermediate_size=64,
        heads=4,
        kv_heads=4,
        vocabulary=1024,
        context=512,
        chat_format="llama-2",
    ),
    "llama-3": MiniatureSpec(
        seed=31,
        architecture="llama",
        layers=3,
        hidden_size=24,
        intermediate_size=48,
        heads=6,
        kv_heads=2,
        vocabulary=2048,
        context=1024,
        chat_format="llama-3",
        tied=True,
    ),
}
NAMES = tuple(SPECS)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small lose more to waiting for each other's threads than they gain."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def corpus() -> list[str]:
    return miniature_corpus(SCENARIOS, PROMPTS)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, corpus: list[str]) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("miniatures")
    for name, spec in SPECS.items():
        build_miniature(root / name, spec, corpus)
    return {name: root / name for name in SPECS}


@pytest.fixture(scope="module")
def tokenizers(folders: dict[str, Path]) -> dict[str, Any]:
    from transformers import AutoTokenizer

    return {name: AutoTokenizer.from_pretrained(folder) for name, folder in folders.items()}


@pytest.fixture(scope="module")
def models(folders: dict[str, Path]) -> dict[str, Any]:
    from transformers import AutoModelForCausalLM

    return {name: AutoModelForCausalLM.from_pretrained(folder).eval() for name, folder in folders.items()}


def digests(folder: Path) -> dict[str, str]:
    return {path.name: sha256_file(path) for path in folder.iterdir()}


@torch.inference_mode()
def next_token(model: Any, ids: list[int]) -> torch.Tensor:
    """Probabilities of the next token at the published temperature."""
    logits = model(torch.tensor([ids]), logits_to_keep=1).logits[0, -1]
    return torch.softmax(logits / 0.7, dim=-1)


# The spec


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": -1}, r"^seed: found -1"),
        ({"layers": 0}, r"^layers: found 0"),
        ({"layers": True}, r"^layers: found True"),
        ({"context": 512.0}, r"^context: found 512\.0"),
        ({"architecture": "gpt2"}, r"^architecture: found 'gpt2'; allowed: mistral, llama"),
        ({"chat_format": "chatml"}, r"^chat_format: found 'chatml'"),
        ({"tied": 1}, r"^tied: found 1"),
        ({"hidden_size": 34}, r"^hidden_size: 34 is not a multiple of heads = 4"),
        ({"hidden_size": 36}, r"^hidden_size: 36 over 4 heads is an odd number a head, 9"),
        ({"kv_heads": 3}, r"^kv_heads: 3 does not divide heads = 4"),
        ({"kv_heads": 8}, r"^kv_heads: 8 does not divide"),
        ({"vocabulary": 257}, r"^vocabulary: found 257; at least 258"),
        ({"sliding_window": 512}, r"^sliding_window: 512 never cuts anything off at context = 512"),
        ({"sliding_window": 0}, r"^sliding_window: found 0"),
        ({"architecture": "llama"}, r"^sliding_window: llama has none"),
        ({"initializer_range": float("nan")}, r"^initializer_range: found nan"),
        ({"initializer_range": "0.02"}, r"^initializer_range: found '0\.02'"),
    ],
)
def test_impossible_shapes_are_refused_by_key(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SyncR2Error, match=message):
        replace(SPECS["mistral"], **change)


def test_all_that_is_impossible_comes_at_once() -> None:
    section = {**asdict(SPECS["mistral"]), "layers": 0, "kv_heads": 3, "vocabulary": 257, "depth": 2}
    with pytest.raises(SyncR2Error) as caught:
        MiniatureSpec.from_dict(section, where="here")
    said = ["unknown key `depth`", "layers: found 0", "kv_heads: 3 does not divide", "vocabulary: found 257"]
    lines = str(caught.value).split("\n")
    assert all(line.startswith("here: ") for line in lines)
    assert [text for line, text in zip(lines, said, strict=True) if text not in line] == []


def test_a_section_of_the_configuration_becomes_a_spec() -> None:
    section = {
        "seed": 1,
        "architecture": "llama",
        "layers": 3,
        "hidden_size": 24,
        "intermediate_size": 48,
        "heads": 6,
        "kv_heads": 2,
        "vocabulary": 1024,
        "context": 256,
        "chat_format": "llama-3",
    }
    assert MiniatureSpec.from_dict(section).sliding_window is None
    assert MiniatureSpec.from_dict({**section, "tied": True}).tied
    with pytest.raises(SyncR2Error, match=r"^here: unknown key `layer`\. Did you mean `layers`\?"):
        MiniatureSpec.from_dict({**section, "layer": 3}, where="here")
    with pytest.raises(SyncR2Error, match=r"^miniature: kv_heads: 4 does not divide"):
        MiniatureSpec.from_dict({**section, "kv_heads": 4})
    del section["seed"], section["heads"]
    with pytest.raises(SyncR2Error, match="add the missing `seed`, `heads`"):
        MiniatureSpec.from_dict(section)


# The corpus


def test_the_corpus_holds_wording_but_no_ids_and_no_template_commands(
    corpus: list[str], tmp_path: Path
) -> None:
    scenarios = json.loads((SCENARIOS / "envs.json").read_text(encoding="utf-8"))
    for environment in scenarios.values():
        assert environment["scenario"] in corpus
        assert set(environment["agent_goals"]) <= set(corpus)
        assert environment["pk"] not in corpus
    for name in (*CORPUS_TEMPLATES, "another"):
        (tmp_path / f"{name}.jinja").write_text(
            f"{{# note #}}Hello {{{{ view.name }}}},{{% if x %}} go{{%\nendif %}} on {name}", encoding="utf-8"
        )
    said = [text for text in miniature_corpus(SCENARIOS, tmp_path) if text.startswith("Hello")]
    assert said == [f"Hello , go on {name}" for name in CORPUS_TEMPLATES], "one more template changes nothing"


def test_a_corpus_without_templates_or_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SyncR2Error, match=r"bystander\.jinja, .* not found"):
        miniature_corpus(SCENARIOS, tmp_path)
    with pytest.raises(SyncR2Error, match=r"envs\.json: no such file"):
        miniature_corpus(tmp_path, PROMPTS)
    with pytest.raises(SyncR2Error, match="holds no text"):
        build_miniature(tmp_path / "model", SPECS["mistral"], ["", ""])
    assert not any(tmp_path.iterdir())


# The folder


def test_real_loading_code_gives_the_class_and_shape_asked_for(
    models: dict[str, Any], tokenizers: dict[str, Any]
) -> None:
    for name, spec in SPECS.items():
        model, config = models[name], models[name].config
        assert (
            type(model).__name__
            == {"mistral": "MistralForCausalLM", "llama": "LlamaForCausalLM"}[spec.architecture]
        )
        assert len(model.model.layers) == spec.layers
        assert (config.num_attention_heads, config.num_key_value_heads) == (spec.heads, spec.kv_heads)
        assert model.model.embed_tokens.weight.shape == (len(tokenizers[name]), spec.hidden_size)
        assert len(tokenizers[name]) <= spec.vocabulary
        assert getattr(config, "sliding_window", None) == spec.sliding_window
        assert config.max_position_embeddings == tokenizers[name].model_max_length == spec.context
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
        assert (model.lm_head.weight is model.model.embed_tokens.weight) == spec.tied


def test_begin_and_stop_tokens_agree_everywhere(models: dict[str, Any], tokenizers: dict[str, Any]) -> None:
    stops = {"mistral": ["</s>"], "llama-2": ["</s>"], "llama-3": ["<|eot_id|>", "<|end_of_text|>"]}
    for name in NAMES:
        tokenizer, model = tokenizers[name], models[name]
        found = model.generation_config.eos_token_id
        ids = [found] if isinstance(found, int) else found
        assert tokenizer.convert_ids_to_tokens(ids) == stops[name]
        assert model.config.eos_token_id == tokenizer.eos_token_id == ids[0]
        assert model.config.bos_token_id == model.generation_config.bos_token_id == tokenizer.bos_token_id
        # The real models have none; code that batches must not lean on one.
        assert tokenizer.pad_token is None
        assert model.config.pad_token_id is None


ANOTHER_PROCESS = """
import json
import sys
from pathlib import Path
import transformers
from syncr2.models.miniatures import MiniatureSpec, build_miniature, miniature_corpus
transformers.utils.logging.disable_progress_bar()
corpus = miniature_corpus(sys.argv[1], sys.argv[2])
build_miniature(sys.argv[3], MiniatureSpec.from_dict(json.loads(sys.argv[4])), reversed(corpus))
transformers.AutoTokenizer.from_pretrained(sys.argv[3])
transformers.AutoModelForCausalLM.from_pretrained(sys.argv[3])
"""


def test_another_process_writes_the_same_bytes_and_loads_them_without_a_warning(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    # Other hash seed, other number of threads, the corpus in another order.
    environment = {**os.environ, "PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}
    spec = json.dumps(asdict(SPECS["mistral"]))
    done = subprocess.run(
        [sys.executable, "-c", ANOTHER_PROCESS, str(SCENARIOS), str(PROMPTS), str(tmp_path / "again"), spec],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
    assert digests(tmp_path / "again") == digests(folders["mistral"])


def test_the_seed_changes_the_weights_alone_and_global_generators_are_left_alone(
    folders: dict[str, Path], tmp_path: Path, corpus: list[str]
) -> None:
    import numpy as np

    torch.manual_seed(5)
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    build_miniature(tmp_path / "other", replace(SPECS["llama-2"], seed=22), corpus)
    assert torch.equal(before, torch.get_rng_state())
    assert (numpy_before == np.random.get_state()[1]).all()
    ours, theirs = digests(tmp_path / "other"), digests(folders["llama-2"])
    assert {name for name in ours if ours[name] != theirs[name]} == {"model.safetensors", "config.json"}


@pytest.fixture
def model_folder(tmp_path: Path, folders: dict[str, Path]) -> Path:
    import shutil

    return Path(shutil.copytree(folders["mistral"], tmp_path / "model"))


def test_an_older_miniature_is_replaced(
    model_folder: Path, folders: dict[str, Path], corpus: list[str]
) -> None:
    build_miniature(model_folder, SPECS["llama-2"], corpus)
    assert digests(model_folder) == digests(folders["llama-2"])
    assert [path.name for path in model_folder.parent.iterdir()] == ["model"]
    # Readable by whoever may read other files made here, the weights included.
    assert len({path.stat().st_mode for path in model_folder.iterdir()}) == 1


def test_a_failure_leaves_the_older_one_whole(
    model_folder: Path, corpus: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import PreTrainedTokenizerFast

    def full_disk(*args: Any, **kwargs: Any) -> None:
        raise OSError("No space left on device")

    before = digests(model_folder)
    monkeypatch.setattr(PreTrainedTokenizerFast, "save_pretrained", full_disk)
    with pytest.raises(OSError, match="No space"):
        build_miniature(model_folder, SPECS["llama-2"], corpus)
    assert digests(model_folder) == before
    assert [path.name for path in model_folder.parent.iterdir()] == ["model"]


def _real_model(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    del config["untrained_miniature"]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def _stray_file(folder: Path) -> None:
    (folder / "thesis.tex").write_text("years of work", encoding="utf-8")


@pytest.mark.parametrize("make_foreign", [_real_model, _stray_file])
def test_a_folder_that_is_no_miniature_is_left_alone(
    model_folder: Path, corpus: list[str], make_foreign: Callable[[Path], None]
) -> None:
    make_foreign(model_folder)
    before = digests(model_folder)
    with pytest.raises(SyncR2Error, match="not a miniature model, so it stays as it is"):
        build_miniature(model_folder, SPECS["llama-2"], corpus)
    assert digests(model_folder) == before


def test_a_missing_chat_template_is_named(tmp_path: Path, corpus: list[str]) -> None:
    with pytest.raises(SyncR2Error, match=r"llama-3\.jinja: no such file"):
        build_miniature(tmp_path / "model", SPECS["llama-3"], corpus, template_folder=tmp_path)


# The tokenizer


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "text",
    [
        " leading, trailing  and\tinner   space \n\n",
        "Zoë sagt «ja», 値段は420ユーロ, Цена? 🚲👩‍👩‍👧 e\u0301",
        "line separator \u2028 nul \x00 bell \x07 nbsp \u00a0",
        "[INST] <<SYS>> <|not_a_token|> </s",
    ],
)
def test_any_text_is_coded_without_loss_behind_one_begin_token(
    tokenizers: dict[str, Any], name: str, text: str
) -> None:
    tokenizer = tokenizers[name]
    ids = tokenizer(text)["input_ids"]
    assert ids.count(tokenizer.bos_token_id) == 1
    assert ids[0] == tokenizer.bos_token_id
    assert tokenizer.decode(ids[1:]) == text


TALK = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Hello."},
    {"role": "assistant", "content": "Hi."},
    {"role": "user", "content": "Bye."},
]
WRITTEN = {
    "mistral": "<s>[INST] Be kind.\n\nHello. [/INST]Hi.</s>[INST] Bye. [/INST]",
    "llama-2": "<s>[INST] <<SYS>>\nBe kind.\n<</SYS>>\n\nHello. [/INST] Hi. </s><s>[INST] Bye. [/INST]",
    "llama-3": "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe kind.<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nHello.<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\nHi.<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nBye.<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
}


@pytest.mark.parametrize("name", NAMES)
def test_chat_templates_write_their_familys_format(tokenizers: dict[str, Any], name: str) -> None:
    tokenizer = tokenizers[name]
    assert tokenizer.apply_chat_template(TALK, tokenize=False, add_generation_prompt=True) == WRITTEN[name]
    ids = tokenizer.apply_chat_template(TALK[1:2], add_generation_prompt=True, return_dict=False)
    assert ids.count(tokenizer.bos_token_id) == 1
    assert ids[0] == tokenizer.bos_token_id
    opened = {"mistral": " [/INST]", "llama-2": " [/INST]", "llama-3": "assistant<|end_header_id|>\n\n"}[name]
    assert tokenizer.decode(ids).endswith(opened)


@pytest.mark.parametrize("name", NAMES)
def test_chat_templates_refuse_roles_that_they_cannot_place(tokenizers: dict[str, Any], name: str) -> None:
    import jinja2

    with pytest.raises(jinja2.TemplateError, match=r"Message 2: .*'narrator'"):
        tokenizers[name].apply_chat_template(
            [TALK[1], {"role": "narrator", "content": "Rain."}], tokenize=False
        )


# The network


@pytest.fixture(scope="module")
def prompts(tokenizers: dict[str, Any], corpus: list[str]) -> dict[str, list[list[int]]]:
    """For each model twelve prompts that differ in one text of a few dozen words."""
    texts = sorted((text for text in corpus if 100 < len(text) < 400), key=len)[-12:]
    return {
        name: [
            tokenizer.apply_chat_template(
                [{"role": "user", "content": f"Answer with one line.\n{text}\nTurn #0, Mara Lind:"}],
                add_generation_prompt=True,
                return_dict=False,
            )
            for text in texts
        ]
        for name, tokenizer in tokenizers.items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_what_is_said_depends_on_the_prompt(
    models: dict[str, Any], prompts: dict[str, list[list[int]]], name: str
) -> None:
    said = [next_token(models[name], ids) for ids in prompts[name]]
    distances = [0.5 * (a - b).abs().sum().item() for i, a in enumerate(said) for b in said[:i]]
    # With the 0.02 of the real configurations the first two give 0.13 and 0.12.
    assert sum(distances) / len(distances) > 0.25
    # Neither one certain word nor an even choice among a thousand.
    perplexity = torch.stack([-(p * p.log()).sum() for p in said]).mean().exp().item()
    assert 3 < perplexity < 300


@pytest.mark.parametrize("name", NAMES)
def test_it_speaks_in_words_without_saying_one_for_ever(
    models: dict[str, Any], tokenizers: dict[str, Any], prompts: dict[str, list[list[int]]], name: str
) -> None:
    tokenizer = tokenizers[name]
    pieces = [tokenizer.decode([index]) for index in range(len(tokenizer))]
    is_word = torch.tensor([piece[:1] == " " and piece[1:].isalpha() for piece in pieces])
    generator = torch.Generator().manual_seed(0)
    words, ends, repeats = [], [], []
    for prompt in prompts[name][::3]:
        ids = list(prompt)
        for step in range(8):
            probabilities = next_token(models[name], ids)
            words.append(probabilities[is_word].sum().item())
            ends.append(probabilities[tokenizer.eos_token_id].item())
            if step:
                repeats.append(probabilities[ids[-1]].item())
            ids.append(int(torch.multinomial(probabilities, 1, generator=generator)))
    # An even choice would give words the share that they have among the tokens.
    assert sum(words) / len(words) > 0.75 > is_word.float().mean()
    assert 0 < sum(ends) / len(ends) < 0.1
    assert sum(repeats) / len(repeats) < 0.3


def test_the_sliding_window_is_in_force(models: dict[str, Any]) -> None:
    def last_state(name: str, ids: list[int]) -> torch.Tensor:
        with torch.inference_mode():
            return models[name].model(torch.tensor([ids])).last_hidden_state[0, -1]

    ids = list(range(300, 420))
    # Two layers with a window of 48 see 47 + 47 tokens back.
    far, near = [*ids], [*ids]
    far[-96], near[-95] = 500, 500
    assert torch.equal(last_state("mistral", ids), last_state("mistral", far))
    assert not torch.equal(last_state("mistral", ids), last_state("mistral", near))
    assert not torch.equal(last_state("llama-2", ids), last_state("llama-2", far))


def test_nothing_is_planted_in_what_two_miniatures_make_of_the_same_words(
    models: dict[str, Any], tokenizers: dict[str, Any]
) -> None:
    ours, theirs = tokenizers["mistral"].get_vocab(), tokenizers["llama-2"].get_vocab()
    common = sorted(set(ours) & set(theirs))

    def rows(name: str, part: str) -> torch.Tensor:
        vocabulary = tokenizers[name].get_vocab()
        return models[name].state_dict()[part].double()[[vocabulary[token] for token in common]]

    def unexplained(part: str) -> float:
        source, target = rows("mistral", part), rows("llama-2", part)
        fitted = source @ (torch.linalg.pinv(source) @ target)
        return ((target - fitted).square().sum() / target.square().sum()).item()

    # Noise of each model's own: 32 columns fit a little of any noise, and no more.
    assert unexplained("model.embed_tokens.weight") > 0.7
    assert unexplained("lm_head.weight") > 0.7


@pytest.mark.parametrize("name", NAMES)
def test_its_untrained_twin_is_another_draw_of_the_same_noise(
    folders: dict[str, Path], models: dict[str, Any], name: str
) -> None:
    """All that a twin needs is in the folder's config.json."""
    twin = load_untrained(ModelSource(name, str(folders[name])), "cpu", seed=5)
    own = dict(models[name].named_parameters())
    blocks = [(key, value) for key, value in twin.named_parameters() if ".layers." in key]
    assert len(blocks) == 9 * SPECS[name].layers
    for key, value in blocks:
        assert value.shape == own[key].shape
        if value.ndim == 2:
            assert value.std().item() == pytest.approx(own[key].std().item(), rel=0.15)
            assert abs(torch.corrcoef(torch.stack([value.flatten(), own[key].flatten()]))[0, 1]) < 0.15
        else:
            assert torch.equal(value, own[key]), "the norms of the blocks are 1 in both"
    assert (twin.lm_head.weight is twin.model.embed_tokens.weight) == SPECS[name].tied
