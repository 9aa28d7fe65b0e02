"""Speakers behind real HTTP servers that misbehave: what is sent, said, tried again and given up."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest
import torch
from completing import completion, model_behind
from judging import Response, says, serving
from test_dialogue import SAMPLING, Scripted, episodes, match, play, prompts  # noqa: F401
from tiny_models import byte_tokenizer, growing_prompts, with_weights_of

from syncr2.dialogues.playing import can_play_freely, play_freely
from syncr2.errors import SyncR2Error
from syncr2.serving.endpoints import Backoff
from syncr2.speakers import Answer, Sampling
from syncr2.speakers.connection import Connection, Elsewhere, Patience
from syncr2.speakers.lines import AnswerForm, closing_tokens
from syncr2.speakers.local import LocalSpeaker
from syncr2.speakers.server import ServerSpeaker, TextSpeaker, request_seed

QUICK = Patience(retries=3, timeout=5, backoff=Backoff(first=0.01, longest=0.05))
END = byte_tokenizer().eos_token_id
PROMPT = [1, 2, 3]


def ids(text):
    return byte_tokenizer()(text, add_special_tokens=False)["input_ids"]


def speaker(endpoint, server=None, patience=QUICK, whole=False, **changes):
    connection = Connection("model-a", server or Elsewhere(endpoint.url, "served"), patience)
    form = AnswerForm(byte_tokenizer(), 300, frozenset([END]), whole)
    return ServerSpeaker(connection, form, SAMPLING._replace(**changes))


def reply(talker, prompt=PROMPT, seed=7):
    async def asked():
        try:
            return await talker.reply(prompt, seed)
        finally:
            await talker.aclose()

    return asyncio.run(asked())


def test_a_request_says_all_that_counts():
    with serving(completion(ids("Hm.\n"), "stop", "\n", prompt_tokens=3)) as endpoint:
        assert reply(speaker(endpoint), seed=2**63 + 5) == Answer("Hm.\n", 4, "line")
    (request,) = endpoint.requests
    assert request == {
        "model": "served",
        "prompt": PROMPT,
        "max_tokens": 10,
        **{"temperature": 0.9, "top_p": 0.95, "top_k": 0, "min_p": 0.0},
        **{"repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0},
        "seed": 5,
        "stop": ["\n"],
        "stop_token_ids": [END],
        "skip_special_tokens": False,
        "return_token_ids": True,
    }


def test_seeds_of_requests():
    assert [request_seed(seed, 0) for seed in (5, 2**53 - 1, 2**53 + 6, 2**64 - 1)] == [
        *(5, 2**53 - 1, 6),
        2**53 - 1,
    ]
    later = [request_seed(seed, attempt) for seed in (5, 6) for attempt in (0, 1, 2)]
    assert len(set(later)) == 6
    assert all(0 <= seed < 2**53 for seed in later)


def test_an_answer_that_has_no_words_yet_is_asked_on():
    replies = [
        completion(ids("\n"), "stop", "\n"),
        completion(ids(" \n"), "stop", "\n"),
        completion(ids("Yes."), "length"),
    ]
    with serving(*replies) as endpoint:
        answer = reply(speaker(endpoint, max_new_tokens=6))
    assert answer == Answer("\n \nYes.", 6, "length")
    assert [request["prompt"] for request in endpoint.requests] == [
        PROMPT,
        [*PROMPT, *ids("\n")],
        [*PROMPT, *ids("\n"), *ids(" \n")],
    ]
    assert [request["max_tokens"] for request in endpoint.requests] == [6, 5, 4]
    assert [request["seed"] for request in endpoint.requests] == [request_seed(7, i) for i in range(3)]


@pytest.mark.parametrize(
    ("reply_", "expected"),
    [
        (completion([*ids("Hm"), END], "stop", None), Answer("Hm", 3, "eos")),
        (completion([*ids("Hm"), END], "stop", END), Answer("Hm", 3, "eos")),
        # A server that leaves the closing token out of its list.
        (completion(ids("Hm"), "stop", None), Answer("Hm", 2, "eos")),
        (completion([], "stop", None), Answer("", 0, "eos")),
        (completion(ids("Hm"), "length"), Answer("Hm", 2, "length")),
        # More tokens than were needed, as several come at once with speculative decoding.
        (completion(ids("Hm\nNo way"), "stop", "\n"), Answer("Hm\n", 3, "line")),
        (completion(ids("\n\nYes.\nNo"), "stop", "\n"), Answer("\n\nYes.\nNo", 1, "line")),
    ],
)
def test_how_an_answer_ended(reply_, expected):
    with serving(reply_) as endpoint:
        assert reply(speaker(endpoint, max_new_tokens=expected.n_new_tokens or 5)) == expected


def test_a_thought_is_no_line_of_the_answer():
    replies = [
        completion(ids("<think>\n"), "stop", "\n"),
        completion(ids("Ask first.\nThen go.</think>"), "stop", "</think>"),
        completion(ids("\n\n"), "stop", "\n"),
        completion(ids("Well?\n"), "stop", "\n"),
    ]
    with serving(*replies) as endpoint:
        answer = reply(speaker(endpoint, max_new_tokens=100))
    assert answer.thought == "\nAsk first.\nThen go."
    assert answer.raw == "\n\nWell?\n"
    assert answer.finish_reason == "line"
    assert [request["stop"] for request in endpoint.requests] == [["\n"], ["</think>"], ["\n"], ["\n"]]


def test_a_thought_opened_by_the_prompt():
    replies = [
        completion(ids("Ask.</think>"), "stop", "</think>"),
        completion(ids("Well?\n"), "stop", "\n"),
    ]
    with serving(*replies) as endpoint:
        answer = reply(speaker(endpoint, max_new_tokens=100), ids("ask<think>\n"))
        assert (answer.thought, answer.raw) == ("Ask.", "Well?\n")
    with serving(completion(ids("Ask"), "length")) as endpoint:
        answer = reply(speaker(endpoint, max_new_tokens=3), ids("ask<think>\n"))
        assert answer == Answer("", 3, "length", "Ask")


def test_whole_answers_go_on_behind_the_line():
    with serving(completion(ids("Hm\nNo\nYes"), "length")) as endpoint:
        answer = reply(speaker(endpoint, whole=True, max_new_tokens=9))
    assert endpoint.requests[0]["stop"] == []
    assert answer == Answer("Hm\nNo\nYes", 9, "line")


GOOD = completion(ids("Hm.\n"), "stop", "\n")


@pytest.mark.parametrize(
    "mishap",
    [
        Response(status=500, body="{}"),
        Response(status=503, body="busy"),
        Response(status=429, body="{}", headers={"retry-after": "0"}),
        Response(dropped=True),
        Response(body="<html>proxy</html>"),
        Response(body='{"error": "EngineDeadError"}'),
        Response(body='{"choices": []}'),
        completion(ids("Hm"), "abort"),
        completion([], "length"),
    ],
)
def test_what_may_pass_is_asked_again_as_it_was(mishap):
    with serving(mishap, mishap, GOOD) as endpoint:
        assert reply(speaker(endpoint)).raw == "Hm.\n"
    assert endpoint.requests[0] == endpoint.requests[1] == endpoint.requests[2]


def test_an_answer_that_takes_too_long_is_asked_again():
    slow = Response(body=GOOD.body, delay=0.6)
    with serving(slow, GOOD) as endpoint:
        assert reply(speaker(endpoint, patience=QUICK._replace(timeout=0.2))).raw == "Hm.\n"


def test_retry_after_is_respected():
    busy = Response(status=429, body="{}", headers={"retry-after": "0.4"})
    patience = QUICK._replace(backoff=Backoff(first=0.01, longest=1))
    with serving(busy, GOOD) as endpoint:
        reply(speaker(endpoint, patience=patience))
    assert endpoint.times[1] - endpoint.times[0] >= 0.4


def test_patience_ends():
    words = r"Model model-a: no answer .* after 4 requests\..*status 503.*no GPU today"
    busy = Response(status=503, body='{"message": "no GPU today"}')
    with serving(busy) as endpoint, pytest.raises(SyncR2Error, match=words):
        reply(speaker(endpoint))
    assert len(endpoint.requests) == 4


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (400, "what the message says"),
        (401, "whether the server wants a key"),
        (403, "whether the server wants a key"),
        (404, "base_url .* and whether the model 'served' is served there"),
    ],
)
def test_what_is_turned_down_is_not_asked_again(status, advice):
    words = rf"turned the request down\. .*not with me.* Check {advice}"
    refused = Response(status=status, body='{"message": "not with me"}')
    with serving(refused) as endpoint, pytest.raises(SyncR2Error, match=words):
        reply(speaker(endpoint))
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (says("Hm.").body, "gives no token ids"),
        (completion(ids("Hm.\n"), "stop", "\n", prompt_tokens=4).body, "was sent 3 token ids and read 4"),
    ],
)
def test_a_server_that_cannot_be_replayed_is_refused(body, words):
    with serving(Response(body=body)) as endpoint, pytest.raises(SyncR2Error, match=words):
        reply(speaker(endpoint))


def test_the_key(monkeypatch):
    def with_key(endpoint):
        return speaker(endpoint, Elsewhere(endpoint.url, "served", "SOME_KEY"))

    monkeypatch.setenv("SOME_KEY", "s3cret")
    with serving(GOOD) as endpoint:
        reply(with_key(endpoint))
        assert endpoint.headers[0]["authorization"] == "Bearer s3cret"
    with serving(Response(status=401, body='{"message": "bad key s3cret"}')) as endpoint:
        with pytest.raises(
            SyncR2Error, match=r"bad key \[key\].*SOME_KEY holds a key that is valid"
        ) as raised:
            reply(with_key(endpoint))
        assert "s3cret" not in str(raised.value)
        monkeypatch.delenv("SOME_KEY")
        with pytest.raises(SyncR2Error, match="SOME_KEY, which is not set or empty"):
            with_key(endpoint)


class Mortal:
    """A server of ours: dead while `dead`, and started again in another place."""

    def __init__(self, places):
        self.places = places
        self.n_starts = 0
        self.dead = False
        self.model, self.version = "served", "1"

    @property
    def base_url(self):
        return self.places[self.n_starts].url

    def alive(self):
        return not self.dead

    def restart(self):
        self.n_starts += 1
        self.dead = False


def test_a_server_that_died_is_started_once_and_nothing_is_lost():
    model = with_weights_of("llama")

    def dies(number):
        if number < 9:
            return None
        server.dead = server.n_starts == 0
        return Response(dropped=True)

    with serving(model_behind(model)) as well:
        expected = {r["episode_id"]: r for r in freely(well, episodes(6), Elsewhere(well.url, "served"))}
        with serving(model_behind(model, dies)) as dying:
            server = Mortal([dying, well])
            found = freely(dying, episodes(6), server)
    assert server.n_starts == 1
    assert {record["episode_id"]: record for record in found} == expected


def test_a_server_that_takes_its_time_to_die():
    """Its processes answer no more, and are there for a while."""

    class Slow(Mortal):
        n_looks = 0

        def alive(self):
            self.n_looks += 1
            return self.n_starts == 1 or self.n_looks < 8

    with serving(Response(dropped=True)) as dying, serving(GOOD) as well:
        server = Slow([dying, well])
        assert reply(speaker(dying, server)).raw == "Hm.\n"
    assert server.n_starts == 1
    assert len(dying.requests) == QUICK.retries + 1


def test_a_server_that_lives_and_does_not_answer_is_given_up():
    with serving(Response(dropped=True)) as mute:
        talker = speaker(mute, Mortal([mute]), patience=QUICK._replace(dying=0.3))
        with pytest.raises(SyncR2Error, match=r"no answer .* after 4 requests"):
            reply(talker)


def test_a_server_that_dies_twice_ends_the_job_and_keeps_what_is_finished():
    model = with_weights_of("llama")
    found = []

    def dies(number):
        if number < 30:
            return None
        server.dead = True
        return Response(dropped=True)

    with serving(model_behind(model, dies)) as dying:
        server = Mortal([dying, dying, dying])
        with pytest.raises(SyncR2Error, match="died a second time"):
            freely(dying, episodes(6), server, found.append, concurrency=1)
    assert 1 <= len(found) < 6


def freely(endpoint, chosen, server=None, on_record=None, concurrency=4, **changes):
    found = []
    talker = speaker(endpoint, server, **changes)
    play_freely(settings(talker, talker), chosen, concurrency, on_record or found.append)
    return found


_PROMPTS = {}


@pytest.fixture(autouse=True)
def _with_prompts(prompts):  # noqa: F811
    _PROMPTS["all"] = prompts


def settings(one, other):
    return match(_PROMPTS["all"], one, other, max_turns=5, stale_after=0)


def by_episode(records):
    return {record["episode_id"]: record for record in records}


@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_behind_a_server_the_same_is_said_as_in_process(temperature):
    """The server draws with the numbers of a request's seed; so does the speaker in process, if asked so."""
    model = with_weights_of("llama")
    with torch.no_grad():
        # Line ends are likely, so that some answers begin with empty lines.
        model.lm_head.weight[ids("\n")[0]] = model.lm_head.weight[ids("e")[0]] * 1.5
    sampling = SAMPLING._replace(temperature=temperature)
    with serving(model_behind(model)) as endpoint:
        talker = speaker(endpoint, temperature=temperature)
        found = []
        play_freely(settings(talker, talker), episodes(4), 3, found.append)
        lockstep = list(play(settings(talker, talker), episodes(4), 3))
    assert by_episode(found) == by_episode(lockstep)
    if temperature == 0:
        here = LocalSpeaker(model, byte_tokenizer(), sampling)
        assert by_episode(play(settings(here, here), episodes(4), 4)) == by_episode(found)


def test_what_is_said_does_not_depend_on_who_else_plays():
    model = with_weights_of("llama")
    with serving(model_behind(model)) as endpoint:
        together = by_episode(freely(endpoint, episodes(5), concurrency=5))
        assert endpoint.most > 1
        alone = by_episode(freely(endpoint, episodes(5)[::-1], concurrency=1))
    assert together == alone
    assert len({turn["text"] for record in together.values() for turn in record["turns"]}) > 10


def test_no_dialogue_waits_for_the_slowest():
    """The first dialogue's first answer comes only when all others are over."""
    over = threading.Event()
    n_over = 0

    def respond(number, body):
        text = byte_tokenizer().decode(body["prompt"])
        if text.startswith("<ask>Scene .") and not over.wait(10):
            return Response(status=500, body="{}")
        return GOOD

    def count(record):
        nonlocal n_over
        n_over += 1
        if n_over == 4:
            over.set()

    with serving(respond) as endpoint:
        talker = speaker(endpoint, patience=QUICK._replace(timeout=20))
        play_freely(settings(talker, talker), episodes(5), 2, count)
    assert n_over == 5


def test_never_more_than_were_allowed():
    slow = Response(body=GOOD.body, delay=0.02)
    with serving(slow) as endpoint:
        talker = speaker(endpoint)
        play_freely(settings(talker, talker), episodes(8), 3, lambda record: None)
    assert endpoint.most == 3


def test_one_in_process_and_one_behind_a_server():
    model = with_weights_of("llama")
    here = LocalSpeaker(model, byte_tokenizer(), SAMPLING._replace(temperature=0.0))
    with serving(model_behind(model)) as endpoint:
        talker = speaker(endpoint, temperature=0.0)
        assert can_play_freely(settings(talker, talker))
        assert not can_play_freely(settings(here, talker))
        mixed = by_episode(play(settings(here, talker), episodes(4), 3))
    assert mixed == by_episode(play(settings(here, here), episodes(4), 4))


def text_speaker(endpoint, **changes):
    sampling = Sampling(0.7, 1.0, 0, 50)._replace(**changes)
    return TextSpeaker(Connection("model-a", Elsewhere(endpoint.url, "served"), QUICK), sampling)


def chat(content, finish_reason="stop", usage=(11, 5), **message):
    body = json.loads(says(content, finish_reason, **message).body)
    body["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1]} if usage else None
    return Response(json.dumps(body))


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (chat("Hello."), Answer("Hello.", 5, "eos", None, 11)),
        (chat("\nHello.\nAnd more"), Answer("\nHello.\nAnd more", 5, "line", None, 11)),
        (chat("Hello and", "length"), Answer("Hello and", 5, "length", None, 11)),
        (chat("Hello.", usage=None), Answer("Hello.", None, "eos", None, None)),
        (chat(None), Answer("", 5, "eos", None, 11)),
        (chat("<think>So.\nYes</think>\nHi"), Answer("\nHi", 5, "eos", "So.\nYes", 11)),
        # The template opened the thought.
        (chat("So.\nYes</think>\nHi"), Answer("\nHi", 5, "eos", "So.\nYes", 11)),
        (chat("<think>So.\nYe", "length"), Answer("", 5, "length", "So.\nYe", 11)),
        (chat("Hi", reasoning_content="So."), Answer("Hi", 5, "eos", "So.", 11)),
        (chat("Hi", reasoning="So."), Answer("Hi", 5, "eos", "So.", 11)),
    ],
)
def test_answers_to_text(response, expected):
    with serving(response) as endpoint:
        assert reply(text_speaker(endpoint), "Who are you?") == expected
    assert endpoint.requests == [
        {
            "model": "served",
            "messages": [{"role": "user", "content": "Who are you?"}],
            **{"max_tokens": 50, "temperature": 0.7, "seed": 7},
        }
    ]


def test_knobs_that_bound_are_sent_with_text():
    with serving(chat("Hi")) as endpoint:
        reply(text_speaker(endpoint, top_p=0.9, top_k=20), "Who?")
    assert (endpoint.requests[0]["top_p"], endpoint.requests[0]["top_k"]) == (0.9, 20)


def test_a_dialogue_by_text_has_no_token_ids():
    from syncr2.dialogues.dialogue import Listener, prompt_ids
    from syncr2.files import sha256_text

    with serving(chat("<think>Hm.</think>Good day.")) as endpoint:
        talker = text_speaker(endpoint)
        both = settings(talker, talker)
        record = {}
        unknown = Listener(None, None)
        by_text = type(both)(**{**vars(both), "listeners": (unknown, unknown)})
        play_freely(by_text, episodes(1), 2, record.update)
    first = record["turns"][0]
    assert first["prompt"] is first["prompt_sha256"] is None
    assert first["prompt_text_sha256"] == sha256_text(endpoint.prompt(0))
    assert (first["n_prompt_tokens"], first["thought"], first["text"]) == (11, "Hm.", "Good day.")
    assert endpoint.prompt(1).endswith("Turn 0 | Ada Stone: Good day.\nTurn 1 | Ben Reed:")
    with pytest.raises(SyncR2Error, match="agent 1 is a model known by its endpoint alone"):
        prompt_ids(record)


def test_a_text_that_is_too_long_ends_its_dialogue():
    words = "This model's maximum context length is 100 tokens."
    too_long = Response(status=400, body=json.dumps({"message": words}))
    with serving(chat("One."), chat("Two."), too_long) as endpoint:
        from syncr2.dialogues.dialogue import Listener

        talker = text_speaker(endpoint)
        both = settings(talker, talker)
        by_text = type(both)(**{**vars(both), "listeners": (Listener(None, None),) * 2})
        (record,) = play(by_text, episodes(1), 1)
    assert (len(record["turns"]), record["stop_reason"]) == (2, "context")


def test_versions_of_servers_elsewhere():
    with serving(GOOD) as endpoint:
        assert Elsewhere(endpoint.url, "served").version is None
    assert Elsewhere("http://127.0.0.1:9/v1", "served").version is None


def test_a_thinking_model_in_process():
    """Lines of a thought do not end an answer in process either."""
    tokenizer = byte_tokenizer()
    form = AnswerForm(tokenizer, 300, closing_tokens(None, tokenizer))
    grown = form.open(PROMPT)
    for token in ids("<think>\nAsk.\n</think>\n\nWell?\nYes"):
        grown.take(token)
    assert grown.answer() == Answer(
        "\n\nWell?\n", len(ids("<think>\nAsk.\n</think>\n\nWell?\n")), "line", "\nAsk.\n"
    )
    (dialogues,) = growing_prompts(3, (1,))
    assert form.open(dialogues[0]).thinking is False
