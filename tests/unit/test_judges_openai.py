"""The openai engine against a real server on this machine that misbehaves in every way worth surviving."""

from __future__ import annotations

import json
import logging
import socket
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from judging import GOOD, Endpoint, Response, answer, dialogue, says, scenario_set, serving

from syncr2.dialogues.prompts import Prompts
from syncr2.errors import SyncR2Error
from syncr2.judges import DIMENSIONS, JudgeSettings, judge_shard
from syncr2.serving.endpoints import Backoff, retry_after

PROMPTS = Prompts(Path(__file__).resolve().parents[2] / "resources" / "prompts")
FAST = Backoff(first=0.001, factor=1.0, longest=0.5)
KEY = "sk-test-0123456789"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the machine that runs the tests must not stand between them and the server."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def settings(url: str, **changes: Any) -> JudgeSettings:
    values = {
        "name": "judge",
        "engine": "openai",
        "model": "m",
        "base_url": url,
        "retries": 2,
        "timeout": 5.0,
        "both_orders": False,
    }
    return JudgeSettings.from_dict({**values, **changes})


def judge(
    endpoint: Endpoint | str, n: int = 1, backoff: Backoff = FAST, **changes: Any
) -> list[dict[str, Any]]:
    url = endpoint if isinstance(endpoint, str) else endpoint.url
    dialogues = [dialogue(f"Offer number {i}.", "No.", episode=i) for i in range(n)]
    records = judge_shard(scenario_set(n), dialogues, PROMPTS, settings(url, **changes), backoff=backoff)
    return [laid_flat(record) for record in records]


def laid_flat(record: dict[str, Any]) -> dict[str, Any]:
    """The record with what the first order says of itself laid over it."""
    first = record["orders"][0]
    assert (record["status"], record["error"]) == (first["status"], first["error"])
    return {**record, **first, "made_by": {**record["made_by"], **first["made_by"]}}


def judge_one(*responses: Response, **changes: Any) -> tuple[dict[str, Any], Endpoint]:
    with serving(*responses) as endpoint:
        (record,) = judge(endpoint, **changes)
    return record, endpoint


def with_text(old: str, new: str) -> Response:
    """The good answer with a piece of its JSON text replaced once."""
    text = json.dumps(answer(goal=7))
    assert old in text
    return says(text.replace(old, new, 1))


def test_a_good_answer_becomes_scores_and_reasons() -> None:
    record, endpoint = judge_one(GOOD, temperature=0.0, max_tokens=321)
    assert (record["status"], record["attempts"], record["error"]) == ("ok", 1, None)
    assert record["scores"]["agent2"] == {d.name: 7 if d.name == "goal" else d.low for d in DIMENSIONS}
    assert record["reasoning"]["agent1"]["secret"] == "Because of secret."
    assert json.loads(record["raw"]) == answer(goal=7)
    assert record["made_by"]["endpoint"] == endpoint.url
    assert record["made_by"]["served_model"] == "served"
    assert (record["engine"], record["judge"], record["pair"]) == ("openai", "judge", "model-a--model-b")
    request = endpoint.requests[0]
    assert (request["model"], request["temperature"], request["max_tokens"]) == ("m", 0.0, 321)
    # Both private goals, both secrets and the dialogue are there to be judged.
    for text in ("less than 120", "more than 150", "stole the lantern", "bankrupt", "Offer number 0."):
        assert text in endpoint.prompt(0)


def test_the_schema_is_closed_bounded_and_reasons_first() -> None:
    _, endpoint = judge_one(GOOD)
    form = endpoint.requests[0]["response_format"]
    assert form["type"] == "json_schema"
    assert form["json_schema"]["strict"] is True
    schema = form["json_schema"]["schema"]
    assert schema["required"] == ["agent1", "agent2"]
    for agent in schema["properties"].values():
        assert agent["required"] == [d.name for d in DIMENSIONS]
        for dimension in DIMENSIONS:
            part = agent["properties"][dimension.name]
            assert list(part["properties"]) == ["reasoning", "score"]
            assert part["properties"]["score"] == {
                "type": "integer",
                "minimum": dimension.low,
                "maximum": dimension.high,
            }

    def objects(node: Any) -> list[dict[str, Any]]:
        if not isinstance(node, dict):
            return []
        inside = [found for value in node.values() for found in objects(value)]
        return [node, *inside] if node.get("type") == "object" else inside

    assert len(objects(schema)) == 1 + 2 + 2 * len(DIMENSIONS)
    assert all(node["additionalProperties"] is False for node in objects(schema))


def test_no_temperature_is_sent_if_it_is_null() -> None:
    _, endpoint = judge_one(GOOD, temperature=None)
    assert "temperature" not in endpoint.requests[0]


PASSING = {
    "status 500": Response('{"error": {"message": "oops"}}', 500),
    "status 503 in HTML": Response("<html>down</html>", 503, {"content-type": "text/html"}),
    "status 429": Response("{}", 429),
    "status 408": Response("", 408),
    "connection dropped": Response(dropped=True),
    "empty body": Response(""),
    "body cut off": Response(GOOD.body[:40]),
    "no choices": Response('{"choices": []}'),
    "choices null": Response('{"choices": null}'),
    "error with status 200": Response('{"error": {"message": "overloaded"}}'),
    "body is a list": Response("[]"),
    "HTML with status 200": Response("<html></html>", headers={"content-type": "text/html"}),
}


@pytest.mark.parametrize("first", PASSING.values(), ids=PASSING)
def test_what_can_pass_is_asked_again_with_the_same_prompt(first: Response) -> None:
    record, endpoint = judge_one(first, GOOD)
    assert (record["status"], record["attempts"], record["error"]) == ("ok", 2, None)
    assert endpoint.requests[0] == endpoint.requests[1]


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (PASSING["status 500"], "500"),
        (PASSING["connection dropped"], "Connection"),
        (PASSING["empty body"], "not JSON"),
    ],
)
def test_what_does_not_pass_is_failed_with_its_error(response: Response, error: str) -> None:
    record, endpoint = judge_one(response)
    assert (record["status"], record["attempts"]) == ("failed", 3)
    assert error in record["error"]
    assert record["scores"] is None
    assert record["reasoning"] is None
    assert len(endpoint.requests) == 3


def test_an_endpoint_that_is_not_there_is_failed_with_the_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (record,) = judge(f"http://127.0.0.1:{port}/v1", retries=1)
    assert (record["status"], record["attempts"]) == ("failed", 2)
    assert "Connection error" in record["error"]
    # The client's own words do not say why; the exception beneath them does.
    assert "attempts failed" in record["error"] or "refused" in record["error"]


MALFORMED = {
    "prose around it": (says(f"Here you are: {json.dumps(answer())}"), "one JSON object and nothing else"),
    "prose after it": (says(f"{json.dumps(answer())} I hope this helps."), "Extra data"),
    "code fence": (says(f"```json\n{json.dumps(answer())}\n```"), "one JSON object and nothing else"),
    "empty": (says(""), "one JSON object"),
    "null": (says(None), "one JSON object"),
    "a list": (says("[]"), "$: [] is not of type 'object'"),
    "NaN": (with_text('"score": 7', '"score": NaN'), "NaN is not a JSON number"),
    "infinite": (with_text('"score": 7', '"score": 1e999'), "inf is not of type 'integer'"),
    "endless digits": (with_text('"score": 7', f'"score": {"9" * 5000}'), "one JSON object"),
    "nested": (says("[" * 100_000), "The answer"),
    "key twice": (with_text('"score": 7', '"score": 7, "score": 8'), "'score' stands there twice"),
    "dimension twice": (with_text('"knowledge": {', '"goal": {'), "'goal' stands there twice"),
    "score 99": (with_text('"score": 7', '"score": 99'), "99 is greater than the maximum of 10"),
    "score below": (with_text('"score": 7', '"score": -1'), "-1 is less than the minimum of 0"),
    "score a fraction": (with_text('"score": 7', '"score": 7.5'), "7.5 is not of type 'integer'"),
    "score a text": (with_text('"score": 7', '"score": "7"'), "'7' is not of type 'integer'"),
    "score true": (with_text('"score": 7', '"score": true'), "True is not of type 'integer'"),
    "reason missing": (
        with_text('"reasoning": "Because of goal.", ', ""),
        "'reasoning' is a required property",
    ),
    "key unknown": (with_text('"score": 7', '"score": 7, "sure": 1'), "('sure' was unexpected)"),
    "agent missing": (says(json.dumps({"agent1": answer()["agent1"]})), "'agent2' is a required property"),
    "dimension missing": (
        says(
            json.dumps({**answer(), "agent2": {k: v for k, v in answer()["agent2"].items() if k != "goal"}})
        ),
        "$.agent2: 'goal' is a required property",
    ),
}


@pytest.mark.parametrize(("bad", "complaint"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_answer_is_asked_for_again_quoting_the_error(bad: Response, complaint: str) -> None:
    record, endpoint = judge_one(bad, GOOD)
    assert (record["status"], record["attempts"]) == ("ok", 2)
    assert record["scores"]["agent1"]["goal"] == 7
    assert endpoint.prompt(1).startswith(endpoint.prompt(0))
    assert complaint in endpoint.prompt(1).removeprefix(endpoint.prompt(0))


@pytest.mark.parametrize("name", ["prose around it", "NaN", "key twice", "score 99", "null"])
def test_an_answer_that_stays_malformed_is_failed_and_kept(name: str) -> None:
    bad, complaint = MALFORMED[name]
    record, endpoint = judge_one(bad)
    assert (record["status"], record["attempts"], record["scores"]) == ("failed", 3, None)
    assert complaint in record["error"]
    assert record["raw"] == (json.loads(bad.body)["choices"][0]["message"]["content"] or "")
    # Only the last complaint is in the prompt: it does not grow from one attempt to the next.
    assert endpoint.prompt(1) == endpoint.prompt(2)


def test_raw_line_ends_inside_reasons_are_taken() -> None:
    record, _ = judge_one(with_text("Because of goal.", "Line one.\nLine two."))
    assert record["status"] == "ok"
    assert record["reasoning"]["agent1"]["goal"] == "Line one.\nLine two."


@pytest.mark.parametrize(
    ("response", "raw"),
    [
        (says(None, refusal="I cannot judge this."), "I cannot judge this."),
        (says("", finish_reason="content_filter"), ""),
        (Response('{"error": {"message": "filtered", "code": "content_filter"}}', 400), None),
    ],
)
def test_a_refusal_is_asked_again_in_other_words_then_recorded_as_such(
    response: Response, raw: str | None
) -> None:
    record, endpoint = judge_one(response)
    assert (record["status"], record["attempts"], record["raw"]) == ("refused", 3, raw)
    assert record["scores"] is None
    assert record["error"]
    assert "Only a judgement of the dialogue is asked for" in endpoint.prompt(1)
    assert judge_one(response, GOOD)[0]["status"] == "ok"


@pytest.mark.parametrize("content", ['{"agent1": {"belie', None, json.dumps(answer())])
def test_an_answer_cut_off_is_asked_again_then_truncated_even_if_it_could_be_read(
    content: str | None,
) -> None:
    cut_off = says(content, finish_reason="length")
    record, endpoint = judge_one(cut_off)
    assert (record["status"], record["attempts"], record["raw"]) == ("truncated", 3, content or "")
    assert record["scores"] is None
    assert "max_tokens" in record["error"]
    assert "cut off at max_tokens. Give one short sentence" in endpoint.prompt(1)
    assert judge_one(cut_off, GOOD)[0]["status"] == "ok"


def test_the_last_attempt_gives_the_status() -> None:
    refusal, cut_off, bad = says(None, refusal="No."), says("{", finish_reason="length"), says("Hm.")
    for responses, status in (
        ((bad, cut_off, refusal), "refused"),
        ((refusal, bad, cut_off), "truncated"),
        ((refusal, cut_off, bad), "failed"),
        ((refusal, cut_off, Response("", 500)), "failed"),
    ):
        assert judge_one(*responses)[0]["status"] == status


def test_a_rejected_request_is_failed_at_once() -> None:
    record, endpoint = judge_one(Response('{"error": {"message": "context length is 10 tokens"}}', 400), GOOD)
    assert (record["status"], record["attempts"]) == ("failed", 1)
    assert "context length is 10 tokens" in record["error"]
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize(
    ("status", "variable", "hint"),
    [
        (401, None, "api_key_env"),
        (401, "JUDGE_KEY", "JUDGE_KEY"),
        (403, "JUDGE_KEY", "JUDGE_KEY"),
        (404, None, "/v1"),
    ],
)
def test_a_wrong_endpoint_stops_everything_at_the_first_request(
    status: int, variable: str | None, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGE_KEY", KEY)
    refusal = Response(json.dumps({"error": {"message": f"no use for {KEY}"}}), status)
    with serving(refusal) as endpoint, pytest.raises(SyncR2Error) as caught:
        judge(endpoint, n=10, concurrency=1, api_key_env=variable)
    assert len(endpoint.requests) == 1
    for text in (endpoint.url, str(status), hint, "Nothing was judged"):
        assert text in str(caught.value)
    if variable:
        assert KEY not in str(caught.value)


def test_after_first_contact_such_a_status_is_one_failure_among_others() -> None:
    with serving(GOOD, Response("{}", 404), GOOD) as endpoint:
        records = judge(endpoint, n=3, concurrency=1)
    assert [record["status"] for record in records] == ["ok", "failed", "ok"]


def test_records_are_in_order_and_requests_bounded() -> None:
    n = 9

    def respond(_: int, body: dict[str, Any]) -> Response:
        number = next(i for i in range(n) if f"Offer number {i}." in body["messages"][0]["content"])
        # The first dialogues take longest, so that order of arrival is not order of the dialogues.
        good = says(json.dumps(answer(goal=number)))
        return Response(good.body, delay=0.03 + 0.02 * (n - number))

    with serving(respond) as endpoint:
        records = judge(endpoint, n=n, concurrency=3)
    assert [record["scores"]["agent1"]["goal"] for record in records] == list(range(n))
    assert [record["episode_id"] for record in records] == [f"episode-{i}" for i in range(n)]
    assert endpoint.most == 3
    assert len({record["made_by"]["prompt_sha256"] for record in records}) == n


def test_retry_after_is_honoured() -> None:
    record, endpoint = judge_one(Response("{}", 429, {"retry-after": "0.25"}), GOOD)
    assert record["attempts"] == 2
    assert endpoint.times[1] - endpoint.times[0] >= 0.25


def test_retry_after_is_capped() -> None:
    started = time.monotonic()
    record, endpoint = judge_one(Response("{}", 503, {"retry-after": "3600"}), GOOD)
    assert record["attempts"] == 2
    assert endpoint.times[1] - endpoint.times[0] >= FAST.longest
    assert time.monotonic() - started < 5


def test_waits_grow_up_to_the_longest() -> None:
    backoff = Backoff(first=1.0, factor=2.0, longest=6.0)
    assert [backoff.seconds(failures, None, spread=0.0) for failures in (1, 2, 3, 4, 9999)] == [1, 2, 4, 6, 6]
    assert backoff.seconds(2, None, spread=1.0) == 1.0
    assert backoff.seconds(1, 5.0, spread=1.0) == 5.0
    assert backoff.seconds(3, 0.0, spread=0.0) == 4.0


def test_retry_after_is_read_as_number_or_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert retry_after({"retry-after": "7"}) == 7.0
    assert retry_after({"retry-after": soon}) == pytest.approx(100, abs=3)
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0
    for unreadable in ({}, {"retry-after": "soon"}, {"retry-after": "nan"}, {"retry-after": "inf"}):
        assert retry_after(unreadable) is None


@pytest.mark.parametrize("slow", [Response(GOOD.body, delay=0.6), Response(GOOD.body, drip=0.02)])
def test_a_slow_answer_is_given_up_and_asked_for_again(slow: Response) -> None:
    # The second one sends a few bytes every now and then: a limit on each read would never end it.
    record, _ = judge_one(slow, GOOD, timeout=0.25)
    assert (record["status"], record["attempts"]) == ("ok", 2)


def test_the_key_comes_from_the_variable_and_goes_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("JUDGE_KEY", f" {KEY}\n")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-somebody-else")
    echo = Response(json.dumps({"error": {"message": f"I got {KEY}"}}), 400)
    told = with_text("Because of goal.", f"The key is {KEY}.")
    with serving(told, echo, says(f"Your key is {KEY}")) as endpoint:
        records = judge(endpoint, n=3, concurrency=1, api_key_env="JUDGE_KEY")
    assert endpoint.headers[0]["authorization"] == f"Bearer {KEY}"
    assert "somebody-else" not in json.dumps(endpoint.headers)
    assert [record["status"] for record in records] == ["ok", "failed", "failed"]
    assert records[0]["reasoning"]["agent1"]["goal"] == "The key is [key]."
    assert records[1]["error"].endswith("I got [key]")
    assert records[2]["raw"] == "Your key is [key]"
    assert KEY not in json.dumps(records)
    assert KEY not in caplog.text


def test_without_a_variable_a_dummy_key_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    _, endpoint = judge_one(GOOD)
    assert endpoint.headers[0]["authorization"] == "Bearer none"


@pytest.mark.parametrize("value", [None, "", "  \n"])
def test_a_variable_that_is_not_set_is_named_before_any_request(
    value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("JUDGE_KEY", value)
    with serving(GOOD) as endpoint, pytest.raises(SyncR2Error, match="JUDGE_KEY, which is not set"):
        judge(endpoint, api_key_env="JUDGE_KEY")
    assert not endpoint.requests


def test_a_key_that_no_header_can_hold_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", "sk-half\nsk-other-half")
    with serving(GOOD) as endpoint, pytest.raises(SyncR2Error, match="JUDGE_KEY holds characters") as caught:
        judge(endpoint, api_key_env="JUDGE_KEY")
    assert "half" not in str(caught.value)
