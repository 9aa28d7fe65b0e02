"""Dialogues through real vLLM servers on the CPU: the same as in process, whatever is killed."""

from __future__ import annotations

import os
import signal

import psutil
import pytest
from configuring import REPOSITORY
from judging import scenario_set
from on_cpu import ARGUMENTS, COMMAND, SETTINGS, running, until
from test_play_shard import build, in_child, kill_when, play, said

from syncr2.dialogues.conventions import CORRECTED
from syncr2.dialogues.dialogue import Listener, Match
from syncr2.dialogues.playing import play_freely
from syncr2.dialogues.prompts import Prompts
from syncr2.dialogues.turns import StoppingRule
from syncr2.errors import SyncR2Error
from syncr2.files import read_jsonl
from syncr2.ids import OrderedPair
from syncr2.journal import journal_path
from syncr2.models.loading import ModelSource, load_encoder
from syncr2.serving.servers import ServedModel, serve
from syncr2.speakers import Answer, Sampling
from syncr2.speakers.connection import Connection, Elsewhere, Patience
from syncr2.speakers.lines import AnswerForm, closing_tokens
from syncr2.speakers.server import ServerSpeaker, TextSpeaker

CONTEXT = 4096
VLLM = {"command": list(COMMAND), "arguments": list(ARGUMENTS), "start_deadline": 300}
SAMPLING = Sampling(0.9, 0.95, 0, 16)
PAIR = OrderedPair("one", "two")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Miniatures with heads of 32 numbers: vLLM's attention on the CPU knows none that are narrower."""
    return build(tmp_path_factory.mktemp("models"), hidden_size=64, intermediate_size=96)


@pytest.fixture(scope="module")
def servers(folder, tmp_path_factory):
    """Both miniatures, each on a server of its own."""
    models = [ServedModel(name, str(folder / name), None, "float32", CONTEXT, 0) for name in ("one", "two")]
    with serve(models, SETTINGS, tmp_path_factory.mktemp("logs")) as started:
        yield started


def encoder(folder, name):
    return load_encoder(ModelSource(name, str(folder / name)))


def speaker(folder, server, name, sampling=SAMPLING):
    tokenizer = encoder(folder, name).tokenizer
    form = AnswerForm(tokenizer, len(tokenizer), closing_tokens(None, tokenizer))
    return ServerSpeaker(Connection(name, server, Patience(6, 60)), form, sampling)


def dialogues(folder, servers, concurrency, n=8, order=1, on_record=None):
    listeners = {name: Listener(encoder(folder, name), CONTEXT) for name in PAIR}
    speakers = {name: speaker(folder, servers[name], name) for name in PAIR}
    match = Match(
        pair=PAIR,
        seed=0,
        listeners=(listeners["one"], listeners["two"]),
        speakers=(speakers["one"], speakers["two"]),
        prompts=Prompts(REPOSITORY / "resources" / "prompts"),
        rule=StoppingRule(4, 0),
        sampling=(SAMPLING, SAMPLING),
        convention=CORRECTED,
    )
    found = {}

    def keep(record):
        found[record["episode_id"]] = record
        if on_record:
            on_record(record)

    play_freely(match, scenario_set(n).episodes[::order], concurrency, keep)
    return found


def test_the_same_is_said_whatever_the_concurrency(folder, servers):
    together = dialogues(folder, servers, 8)
    assert dialogues(folder, servers, 1, order=-1) == together
    assert dialogues(folder, servers, 3, n=3) == {key: together[key] for key in list(scenario_ids(3))}
    said_ = [turn["text"] for record in together.values() for turn in record["turns"]]
    assert len(set(said_)) > 12


def scenario_ids(n):
    return [episode.id for episode in scenario_set(n).episodes]


def test_a_killed_server_is_started_again_and_nothing_is_lost(folder, servers):
    expected = dialogues(folder, servers, 4)
    port = int(servers["two"].base_url.split(":")[2].split("/")[0])
    victims = listening(port)
    killed = []

    def kill(record):
        if not killed:
            killed.append(victims)
            os.kill(victims, signal.SIGKILL)

    assert dialogues(folder, servers, 4, on_record=kill) == expected
    assert killed
    assert int(servers["two"].base_url.split(":")[2].split("/")[0]) != port or listening(port) != victims


def listening(port):
    """The process of ours that listens on a port of this machine."""
    for process in psutil.Process().children(recursive=True):
        for connection in process.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                return process.pid
    return None


def test_a_server_says_what_it_is(servers):
    assert servers["one"].version
    assert Elsewhere(servers["one"].base_url, "one").version == servers["one"].version


def test_text_through_chat_completions(folder, servers):
    import asyncio

    connection = Connection("one", Elsewhere(servers["one"].base_url, "one"), Patience(1, 60))
    talker = TextSpeaker(connection, SAMPLING)

    async def asked():
        try:
            return await talker.reply("Who are you?", 5), await talker.reply("Who are you? " * 4000, 5)
        finally:
            await talker.aclose()

    answer, too_long = asyncio.run(asked())
    assert answer.n_new_tokens <= 16
    assert answer.n_prompt_tokens == len(encoder(folder, "one").encode("Who are you?"))
    assert too_long == Answer("", None, "context")


def test_a_model_that_is_not_served(folder, servers):
    unknown = Elsewhere(servers["one"].base_url, "another")
    with pytest.raises(SyncR2Error, match="whether the model 'another' is served there"):
        dialogues(folder, {"one": unknown, "two": unknown}, 2)


def test_greedy_servers_say_what_transformers_says(folder, tmp_path):
    play(folder, tmp_path / "here.jsonl", temperature=0)
    play(folder, tmp_path / "vllm.jsonl", temperature=0, engine="vllm", vllm=VLLM)
    here, there = (read_jsonl(tmp_path / f"{name}.jsonl") for name in ("here", "vllm"))
    for record, expected in zip(there, here, strict=True):
        assert record["turns"] == expected["turns"]
        assert {**record, "made_by": None} == {**expected, "made_by": None}
    speaks = there[0]["made_by"]["settings"]["models"]["one"]["speaks"]
    assert (speaks["engine"], speaks["arguments"]) == ("vllm", list(ARGUMENTS))
    assert speaks["server_version"]


def test_a_killed_job_goes_on(folder, tmp_path):
    options = {"engine": "vllm", "vllm": VLLM, "max_turns": 8}
    play(folder, tmp_path / "whole.jsonl", **options)
    output = tmp_path / "killed.jsonl"
    others = set(running(folder))
    child = in_child(lambda: play(folder, output, **options))
    kill_when(child, journal_path(output), 4, patience=300)
    assert not output.exists()
    # The servers go with their job.
    assert until(lambda: set(running(folder)) <= others, 60)
    play(folder, output, **options)
    assert said(output) == said(tmp_path / "whole.jsonl")
