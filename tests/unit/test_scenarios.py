"""Episodes: reading, checking, keeping and fetching."""

from __future__ import annotations

import copy
import hashlib
import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from syncr2.errors import SyncR2Error
from syncr2.files import sha256_file
from syncr2.sotopia.scenarios import (
    FILES,
    Episode,
    count_episodes,
    fetch,
    read_folder,
    read_scenarios,
    write_scenarios,
)

ENVIRONMENT = {
    "pk": "e1",
    "codename": "one",
    "source": "ours",
    "scenario": "A market stall.",
    "agent_goals": ["Sell the lamp.", "Buy the lamp (<extra_info>you have 5 euros</extra_info>)."],
    "relationship": 3,
    "occupation_constraint": "nan",
}


def world() -> dict[str, Any]:
    """The three files: two environments, three profiles, three episodes."""
    people = {
        "a1": {"first_name": "Ada", "last_name": "Byron", "age": "36", "occupation": "nan", "mbti": "INTP"},
        "a2": {"first_name": "Cher", "last_name": "", "age": None, "secret": float("nan"), "task": "buyer"},
        "a3": {
            "first_name": "Nan",
            "last_name": "Shin",
            "age": 20.0,
            "big_five": {"o": 1},
            "moral_values": [],
        },
    }
    return {
        "envs.json": {"e1": copy.deepcopy(ENVIRONMENT), "e2": {**copy.deepcopy(ENVIRONMENT), "pk": "e2"}},
        "agents.json": {pk: {"pk": pk, **person} for pk, person in people.items()},
        "env_agent_combos.json": [
            {"pk": "x1", "env_id": "e1", "agent_ids": ["a1", "a2"]},
            {"pk": "x2", "env_id": "e2", "agent_ids": ["a2", "a3"]},
            {"pk": "x3", "env_id": "e1", "agent_ids": ["a3", "a1"]},
        ],
    }


def save(folder: Path, files: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def refusal(folder: Path, **arguments: Any) -> str:
    with pytest.raises(SyncR2Error) as caught:
        read_folder(folder, **arguments)
    return str(caught.value)


def test_values_are_cleaned(tmp_path: Path) -> None:
    first, second, third = read_folder(save(tmp_path, world())).episodes
    ada, cher = first.agents
    nan = third.agents[0]
    assert (first.id, first.index, third.index) == ("x1", 0, 2)
    assert (ada.name, ada.age, ada.occupation) == ("Ada Byron", 36, None)
    assert (cher.name, cher.last_name, cher.age, cher.secret) == ("Cher", None, None, None)
    assert (nan.name, nan.age) == ("Nan Shin", 20)
    assert second.agents == (cher, nan)
    assert first.environment.goals[1] == "Buy the lamp (<extra_info>you have 5 euros</extra_info>)."


def test_columns(tmp_path: Path) -> None:
    files = world()
    files["envs.json"]["e1"].update(
        condition="false belief", payoffs=[3, {"b": 1}], repeats=2, agent_constraint=None
    )
    files["env_agent_combos.json"][1]["wave"] = 2
    first, second, _ = read_folder(save(tmp_path, files)).episodes
    assert first.columns() == {
        "environment_id": "e1",
        "relationship": "friend",
        "codename": "one",
        "source": "ours",
        "condition": "false belief",
        "payoffs": '[3,{"b":1}]',
        "repeats": 2,
        "wave": None,
        "agent1_age": 36,
        "agent1_gender": None,
        "agent1_occupation": None,
        "agent1_task": None,
        "agent2_age": None,
        "agent2_gender": None,
        "agent2_occupation": None,
        "agent2_task": "buyer",
    }
    # The same columns everywhere, whatever a record says or leaves out; what no record says is no column.
    assert list(second.columns()) == list(first.columns())
    assert (second.columns()["condition"], second.columns()["wave"]) == (None, 2)


def test_columns_that_clash_are_renamed(tmp_path: Path) -> None:
    files = world()
    files["envs.json"]["e1"].update(
        {
            "seed": 1,
            "environment_seed": 2,
            "id": 3,
            "n_turns": 4,
            "agent1_age": 5,
            "environment_n_turns": None,
        }
    )
    files["agents.json"]["a1"].update(status="vip", name="Countess")
    files["env_agent_combos.json"][0].update(seed=6, source="wave 2")
    columns = read_folder(save(tmp_path, files)).episodes[0].columns()
    assert columns["environment_seed"] == 2
    assert columns["environment_environment_seed"] == 1
    assert columns["environment_id"] == "e1"
    assert columns["environment_environment_id"] == 3
    assert columns["environment_environment_n_turns"] == 4
    assert columns["environment_agent1_age"] == 5
    assert columns["agent1_age"] == 36
    assert columns["agent1_status"] == "vip"
    assert columns["agent1_profile_name"] == "Countess"
    assert columns["source"] == "ours"
    assert (columns["episode_seed"], columns["episode_source"]) == (6, "wave 2")
    assert not {"seed", "id", "n_turns", "mbti", "agent1_mbti", "agent2_big_five"} & set(columns)


def test_lists_keyed_by_pk_are_the_same(tmp_path: Path) -> None:
    files = world()
    keyed = read_folder(save(tmp_path / "keyed", files))
    for name in ("envs.json", "agents.json"):
        files[name] = list(files[name].values())
    listed = read_folder(save(tmp_path / "listed", files))
    assert listed.episodes == keyed.episodes
    assert listed.sha256["envs.json"] == sha256_file(tmp_path / "listed" / "envs.json")


def test_limit_takes_the_first_and_keeps_the_columns(tmp_path: Path) -> None:
    files = world()
    files["envs.json"]["e2"]["only_second"] = 1
    folder = save(tmp_path, files)
    assert read_folder(folder, limit=1).episodes == read_folder(folder).episodes[:1]
    assert "only_second" in read_folder(folder, limit=1).episodes[0].columns()
    text = refusal(folder, limit=4)
    assert "4 episodes" in text
    assert "1 to 3" in text
    assert "0 episodes" in refusal(folder, limit=0)
    files["agents.json"]["a3"]["age"] = "old"
    save(folder, files)
    assert '"a3", age' in refusal(folder, limit=1)


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    files = world()
    files["envs.json"]["e1"].update(relationship=True, scenario=" ", agent_goals=["one", "two", "three"])
    files["envs.json"]["e2"].update(relationship=6, agent_goals=["a <extra_info>b", "nan"])
    files["agents.json"]["a1"].update(first_name="", age=True)
    files["agents.json"]["a2"].update(pk="zz", public_info=["x"], last_name="A\nB")
    files["agents.json"]["a3"].update(secret="<p>hm</p>", rating=1e999)
    files["env_agent_combos.json"] += [
        {"pk": "x1", "env_id": "e1", "agent_ids": ["a1", "a3"]},
        {"pk": "x4", "env_id": "e9", "agent_ids": ["a1", "a8"]},
        {"pk": "x5", "env_id": "e1", "agent_ids": ["a1", "a1"]},
        {"pk": "x6", "env_id": ["e1"], "agent_ids": "a1"},
        "x7",
    ]
    text = refusal(save(tmp_path, files))
    for part in (
        'envs.json, record "e1", relationship: found true',
        'envs.json, record "e1", scenario: missing or empty',
        'envs.json, record "e1", agent_goals: found a list of 3',
        'envs.json, record "e2", relationship: found 6; an integer from 0 to 5',
        'envs.json, record "e2", agent_goals[1]: unbalanced tags: <extra_info> is never closed',
        'envs.json, record "e2", agent_goals[2]: missing or empty',
        'agents.json, record "a1", first_name: missing or empty',
        'agents.json, record "a1", age: found true',
        "agents.json, record \"a2\", pk: found 'zz', but the record stands under the key 'a2'",
        'agents.json, record "zz", public_info: found ["x"]; a text is needed',
        'agents.json, record "zz", last_name: found "A\\nB"',
        'agents.json, record "a3", secret: holds a tag',
        'agents.json, record "a3", rating: found inf',
        "env_agent_combos.json, position 3 (\"x1\"), pk: 'x1' stands in more than one record",
        'env_agent_combos.json, record "x4", env_id: found "e9"; envs.json has no such record',
        'env_agent_combos.json, record "x4", agent_ids: found "a8"; agents.json has no such record',
        "env_agent_combos.json, record \"x5\", agent_ids: 'a1' is paired with itself",
        'env_agent_combos.json, position 7, None: found "x7"'.replace(", None", ""),
    ):
        assert part in text, text
    # A wrong record is reported once, with itself, not again with every episode that uses it.
    assert 'record "x3"' not in text


def test_a_long_list_of_problems_is_cut_and_counted(tmp_path: Path) -> None:
    files = world()
    files["agents.json"].update({f"b{i}": {"pk": f"b{i}", "first_name": 7} for i in range(30)})
    text = refusal(save(tmp_path, files))
    assert text.startswith(f"{tmp_path}: 30 problems")
    assert "… and 10 more" in text
    assert text.count("first_name") == 20


def test_two_agents_with_one_displayed_name(tmp_path: Path) -> None:
    files = world()
    files["agents.json"]["a2"].update(first_name="Ada Byron ", last_name=None)
    text = refusal(save(tmp_path, files))
    assert "record \"x1\", agent_ids: both agents are shown as 'Ada Byron'" in text


def test_files_that_are_missing_or_no_json(tmp_path: Path) -> None:
    with pytest.raises(SyncR2Error) as caught:
        read_folder(tmp_path / "nowhere")
    assert all(f"no {name}" in str(caught.value) for name in FILES)
    folder = save(tmp_path, world())
    (folder / "agents.json").unlink()
    assert "no agents.json." in refusal(folder)
    save(folder, {**world(), "agents.json": '{"a1": {"pk": "a1", '})
    text = refusal(folder)
    assert "agents.json: not valid JSON" in text
    assert "no such record" not in text
    for content in ("null", '"text"', "[]", "{}"):
        assert "envs.json" in refusal(save(folder, {**world(), "envs.json": content}))
    assert "at least one record" in refusal(save(folder, {**world(), "env_agent_combos.json": "[]"}))
    assert "not valid JSON" in refusal(save(folder, {**world(), "envs.json": "[" * 100_000}))


def test_keys_that_stand_twice(tmp_path: Path) -> None:
    files = world()
    person = json.dumps({"pk": "a1", "first_name": "Eve"})
    files["agents.json"] = f'{{"a1": {person}, "a1": {person}}}'
    assert "agents.json: the key 'a1' stands more than once" in refusal(save(tmp_path, files))
    files["agents.json"] = '[{"pk": "a1", "first_name": "Eve", "first_name": "Ada"}]'
    assert "agents.json, record \"a1\": the key 'first_name' stands more" in refusal(save(tmp_path, files))


@pytest.mark.parametrize(
    ("scenario", "part"),
    [
        ("A <b>bold</b> move.", "unknown tag <b>"),
        ("A <extra_info>hint</strategy_hint>.", "unbalanced tags: found </strategy_hint>"),
        ("Ends </p>.", "unbalanced tags: found </p>"),
        ('A <p viewer="agent_3">hint</p>.', 'in <p viewer="agent_3">: the one attribute allowed is viewer'),
        ('A <p class="x">hint</p>.', "the one attribute allowed is viewer"),
        ("A <extra_info/> hint.", "has no content"),
        ('<p viewer="environment">Only for the judge.</p>', "both agents need some of it"),
        ('A <p viewer="agent_1">hint</p>.', "leaves open whether agents are counted"),
        ('A <p viewer="agent_0">x</p><p viewer="agent_2">y</p>.', "leaves open whether agents are counted"),
    ],
)
def test_tags_that_cannot_be_understood(tmp_path: Path, scenario: str, part: str) -> None:
    files = world()
    files["envs.json"]["e2"]["scenario"] = scenario
    text = refusal(save(tmp_path, files))
    assert part in text
    assert 'envs.json, record "e2", scenario' in text


def test_text_with_angle_brackets_is_no_tag(tmp_path: Path) -> None:
    files = world()
    files["envs.json"]["e1"]["scenario"] = "If a < b and c > d, write to <me@home.org>; I <3 it."
    assert read_folder(save(tmp_path, files)).episodes[0].environment.scenario.endswith("I <3 it.")


def test_agents_counted_from_zero_are_brought_to_one(tmp_path: Path) -> None:
    files = world()
    files["envs.json"]["e1"]["scenario"] = "Rain. <p viewer='agent_0'>Cold.</p>"
    files["envs.json"]["e2"]["agent_goals"][0] = 'Go. <p viewer="agent_1">Never.</p>'
    first, second, _ = read_folder(save(tmp_path, files)).episodes
    assert first.environment.scenario == 'Rain. <p viewer="agent_1">Cold.</p>'
    assert second.environment.goals[0] == 'Go. <p viewer="agent_2">Never.</p>'
    files["envs.json"]["e1"]["scenario"] = 'Rain. <p viewer="agent_2">Cold.</p>'
    first, second, _ = read_folder(save(tmp_path, files)).episodes
    assert first.environment.scenario == 'Rain. <p viewer="agent_2">Cold.</p>'
    assert second.environment.goals[0] == 'Go. <p viewer="agent_1">Never.</p>'


def test_round_trip(tmp_path: Path) -> None:
    files = world()
    files["agents.json"]["a1"]["last_name"] = "Bÿron\u2028"
    scenarios = read_folder(save(tmp_path, files), limit=2)
    target = tmp_path / "results" / "scenarios.json"
    write_scenarios(scenarios, target)
    again = read_scenarios(target)
    assert again == scenarios
    assert [episode.columns() for episode in again.episodes] == [e.columns() for e in scenarios.episodes]
    assert hash(again.episodes[0]) == hash(scenarios.episodes[0])
    assert again.episodes[0] != replace(scenarios.episodes[0], fields={"wave": 1})
    assert json.loads(target.read_text())["format"] == "syncr2/scenarios/1"
    assert [path.name for path in target.parent.iterdir()] == ["scenarios.json"]


def test_a_damaged_scenarios_file_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "scenarios.json"
    write_scenarios(read_folder(save(tmp_path, world())), target)
    whole = target.read_text()
    for text in (
        whole[: len(whole) // 2],
        whole.replace("syncr2/scenarios/1", "syncr2/scenarios/0"),
        whole.replace('"environment": "e2"', '"environment": "e3"'),
        whole.replace('"relationship": 3', '"closeness": 3'),
        "[]",
    ):
        target.write_text(text)
        with pytest.raises(SyncR2Error, match=r"scenarios\.json"):
            read_scenarios(target)


def test_count_episodes(tmp_path: Path) -> None:
    files = world()
    files["env_agent_combos.json"][0]["env_id"] = "planning does not look here"
    assert count_episodes(save(tmp_path, files)) == 3
    save(tmp_path, {"env_agent_combos.json": "[{"})
    with pytest.raises(SyncR2Error, match="not valid JSON"):
        count_episodes(tmp_path)


def test_episodes_can_be_made_by_hand(tmp_path: Path) -> None:
    episode = read_folder(save(tmp_path, world())).episodes[0]
    plain = Episode("y", 0, replace(episode.environment, fields={}), episode.agents)
    assert plain.columns()["environment_id"] == "e1"


# --- fetching -----------------------------------------------------------------


class Home(http.server.BaseHTTPRequestHandler):
    """A public home; each name does what its `answers` entry says, one a request, the last one for good."""

    files: dict[str, bytes]
    answers: dict[str, list[str]]
    asked: list[str]

    def do_GET(self) -> None:
        name = self.path.rsplit("/", 1)[1]
        self.asked.append(self.path)
        script = self.answers.get(name, ["right"])
        answer = script.pop(0) if len(script) > 1 else script[0]
        if answer.isdigit():
            self.send_error(int(answer))
            return
        body = self.files[name]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write({"right": body, "wrong": body[::-1], "short": body[:-10]}[answer])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, type[Home], dict[str, str]]]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    source = save(tmp_path / "home", world())
    files = {name: (source / name).read_bytes() for name in FILES}
    handler = type("ThisHome", (Home,), {"files": files, "answers": {}, "asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        yield f"http://127.0.0.1:{server.server_port}/data", handler, hashes
        server.shutdown()
        thread.join()
    shutil.rmtree(source)


def attempt(url: str, hashes: dict[str, str], folder: Path) -> str:
    with pytest.raises(SyncR2Error) as caught:
        fetch(url, hashes, folder, pause=0.001, timeout=5)
    return str(caught.value)


def test_fetch_right_bytes_once(home: tuple[str, type[Home], dict[str, str]], tmp_path: Path) -> None:
    url, handler, hashes = home
    folder = tmp_path / "fetched"
    paths = fetch(url + "/", {name: digest.upper() for name, digest in hashes.items()}, folder)
    assert [path.name for path in paths] == list(FILES)
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert len(read_folder(folder).episodes) == 3
    assert handler.asked == [f"/data/{name}" for name in FILES]
    # What is there and right is not asked for again; what is there and wrong is.
    (folder / "agents.json").write_text("{}")
    fetch(url, hashes, folder)
    assert handler.asked[3:] == ["/data/agents.json"]
    assert {path.name: sha256_file(path) for path in folder.iterdir()} == hashes


def test_fetch_wrong_bytes(home: tuple[str, type[Home], dict[str, str]], tmp_path: Path) -> None:
    url, handler, hashes = home
    handler.answers["agents.json"] = ["wrong"]
    folder = tmp_path / "fetched"
    text = attempt(url, hashes, folder)
    body = handler.files["agents.json"]
    assert f"{url}/agents.json" in text
    assert hashes["agents.json"] in text
    assert hashlib.sha256(body[::-1]).hexdigest() in text
    assert f"{len(body)} bytes" in text
    # Asking again would bring the same; the file before it stays, nothing half-done does.
    assert handler.asked.count("/data/agents.json") == 1
    assert [path.name for path in folder.iterdir()] == ["envs.json"]


def test_fetch_cut_off(home: tuple[str, type[Home], dict[str, str]], tmp_path: Path) -> None:
    url, handler, hashes = home
    handler.answers["envs.json"] = ["short"]
    folder = tmp_path / "fetched"
    text = attempt(url, hashes, folder)
    size = len(handler.files["envs.json"])
    assert f"cut off after {size - 10} of {size} bytes, 3 times" in text
    assert handler.asked == ["/data/envs.json"] * 3
    assert list(folder.iterdir()) == []
    handler.answers["envs.json"] = ["short", "right"]
    fetch(url, hashes, folder, pause=0.001)
    assert {path.name: sha256_file(path) for path in folder.iterdir()} == hashes


def test_fetch_server_trouble(home: tuple[str, type[Home], dict[str, str]], tmp_path: Path) -> None:
    url, handler, hashes = home
    handler.answers["envs.json"] = ["503", "503", "right"]
    fetch(url, hashes, tmp_path / "recovers", pause=0.001)
    assert handler.asked.count("/data/envs.json") == 3
    handler.answers["envs.json"] = ["500"]
    assert "the server answered 500" in attempt(url, hashes, tmp_path / "fails")
    handler.asked.clear()
    handler.answers["envs.json"] = ["404"]
    assert "the server answered 404" in attempt(url, hashes, tmp_path / "fails")
    assert handler.asked == ["/data/envs.json"]


def test_fetch_nobody_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with http.server.HTTPServer(("127.0.0.1", 0), Home) as server:
        port = server.server_port
    text = attempt(f"http://127.0.0.1:{port}", {"envs.json": "0" * 64}, tmp_path)
    assert "cannot be reached" in text
    assert "refused" in text


@pytest.mark.parametrize(
    ("url", "hashes", "part"),
    [
        ("file:///etc", {"envs.json": "0" * 64}, "http://"),
        ("ftp://example.org", {"envs.json": "0" * 64}, "http://"),
        ("http://127.0.0.1:9", {"../envs.json": "0" * 64}, "not a plain file name"),
        ("http://127.0.0.1:9", {"envs.json": "abc"}, "64 hexadecimal digits"),
    ],
)
def test_fetch_refuses_without_asking(url: str, hashes: dict[str, str], part: str, tmp_path: Path) -> None:
    assert part in attempt(url, hashes, tmp_path)
    assert list(tmp_path.iterdir()) == []
