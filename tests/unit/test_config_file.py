"""config.yaml, its schema, the page about it: what one says, the others say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from configuring import REPOSITORY, read_yaml

from syncr2.__main__ import main
from syncr2.config import docs, schema
from syncr2.config.words import allowed

CONFIG = (REPOSITORY / "config.yaml").read_text(encoding="utf-8").splitlines()
KEY = re.compile(r"(?P<indent> *)(?P<item>- )?(?P<key>[\w.]+):(?P<rest>.*)")


def rules(rule: Mapping[str, Any], place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every key of the schema outside the items of lists, with its rule."""
    for key, inner in rule.get("properties", {}).items():
        yield (*place, key), inner
        yield from rules(inner, (*place, key))


def every_rule(rule: Any) -> Iterator[Mapping[str, Any]]:
    """Every rule that stands for a key, those of list items too."""
    for key, inner in rule.items() if isinstance(rule, Mapping) else ():
        if key == "properties":
            yield from inner.values()
            for each in inner.values():
                yield from every_rule(each)
        elif key == "items":
            yield from every_rule(inner)


def value_at(place: tuple[str, ...]) -> Any:
    value = read_yaml("config.yaml")
    for key in place:
        value = value[key]
    return value


class TestFile:
    def test_holds_every_key_of_the_schema_in_its_order(self):
        def keys(rule: Mapping[str, Any], section: Mapping[str, Any]) -> None:
            assert list(section) == list(rule["properties"])
            for key, inner in rule["properties"].items():
                if "properties" in inner:
                    keys(inner, section[key])

        keys(schema(), read_yaml("config.yaml"))

    def test_items_hold_what_the_schema_requires_and_nothing_unknown(self):
        for name in ("models", "judges"):
            rule = schema()["properties"][name]["items"]
            for item in read_yaml("config.yaml")[name]:
                assert set(rule["required"]) <= set(item) <= set(rule["properties"])

    @pytest.mark.parametrize(
        ("place", "rule"), [pair for pair in rules(schema()) if "x-published" in pair[1]], ids=str
    )
    def test_values_are_the_published_ones(self, place, rule):
        published = rule["x-published"]
        if isinstance(published, bool | int | float) or published in rule.get("enum", ()):
            found = value_at(place)
            assert found == published
            assert isinstance(found, bool) == isinstance(published, bool)

    def test_judge_is_the_published_one(self):
        (judge,) = read_yaml("config.yaml")["judges"]
        for key, rule in schema()["properties"]["judges"]["items"]["properties"].items():
            if "x-published" in rule:
                assert judge[key] == rule["x-published"]

    def test_every_key_has_a_comment(self):
        assert unexplained(CONFIG) == []

    @pytest.mark.parametrize(
        ("comment", "key"),
        [
            ("# Folder with the prompt", "prompts"),
            ("# published: 0", "temperature"),
            ("#   family:", "family"),
        ],
    )
    def test_the_check_for_comments_would_notice(self, comment, key):
        without = [line.partition("#")[0] if comment in line else line for line in CONFIG]
        assert without != CONFIG
        assert key in unexplained(without)


def unexplained(lines: list[str]) -> list[str]:
    """Keys with no comment on their line or right above; a list's items may be explained above the list."""
    found, block, of_list = [], "", ""
    for line in lines:
        if line.lstrip().startswith("#"):
            block += line
            continue
        match = KEY.match(line)
        if match and not match["item"] and not match["indent"]:
            of_list = block
        if match and not block and " # " not in match["rest"]:
            in_list = match["item"] or match["indent"] == "    "
            if not (in_list and re.search(rf"\b{match['key']}:", of_list)):
                found.append(match["key"])
        block = ""
    return found


class TestSchema:
    def test_every_rule_is_described_in_one_sentence_or_more(self):
        for rule in every_rule(schema()):
            assert re.fullmatch(r"[^\s].*[.)]", rule["description"]), rule

    def test_nothing_unknown_is_allowed_anywhere(self):
        def sections(rule: Any) -> Iterator[Mapping[str, Any]]:
            if isinstance(rule, Mapping):
                if "properties" in rule and "type" in rule:
                    yield rule
                for inner in rule.values():
                    yield from sections(inner)

        found = list(sections(schema()))
        assert len(found) > 10
        assert all(rule["additionalProperties"] is False for rule in found)

    def test_a_pattern_is_put_in_words(self):
        for rule in every_rule(schema()):
            assert ("pattern" in rule) == ("x-form" in rule)

    @pytest.mark.parametrize(
        ("rule", "words"),
        [
            ({"type": "integer", "minimum": 3}, "whole number of at least 3"),
            ({"type": "number", "minimum": 0, "maximum": 1}, "number from 0 to 1"),
            ({"type": ["number", "null"], "exclusiveMinimum": 0}, "number above 0 or null"),
            ({"type": "integer", "maximum": 9}, "whole number up to 9"),
            ({"oneOf": [{"type": "integer"}, {"const": "all"}]}, "whole number or `all`"),
            ({"type": "array", "items": {"type": "string"}}, "list (each: text)"),
            (
                {"type": "array", "items": {"enum": ["a", "b"]}, "contains": {"const": "a"}},
                "list (each: `a`, `b`) with `a` among them",
            ),
            (
                {"oneOf": [{"type": "integer", "const": 0}, {"type": "integer", "minimum": 9}]},
                "`0` or whole number of at least 9",
            ),
        ],
    )
    def test_rules_in_words(self, rule, words):
        assert allowed(rule) == words


class TestPage:
    def test_committed_page_is_up_to_date(self, capsys):
        assert main(["docs", "--check"]) == 0, capsys.readouterr().err

    def test_an_old_page_is_noticed_and_written_anew(self, tmp_path, monkeypatch, capsys):
        page = tmp_path / "configuration.md"
        page.write_text(
            docs.PAGE.read_text(encoding="utf-8").replace("## `seeds`", "## `sedes`"), encoding="utf-8"
        )
        monkeypatch.setattr(docs, "PAGE", page)
        assert main(["docs", "--check"]) == 1
        assert "make docs" in capsys.readouterr().err
        assert main(["docs"]) == 0
        assert main(["docs", "--check"]) == 0
        assert "## `seeds`" in page.read_text(encoding="utf-8")

    def test_a_missing_page_is_noticed(self, tmp_path, monkeypatch):
        monkeypatch.setattr(docs, "PAGE", tmp_path / "none.md")
        assert main(["docs", "--check"]) == 1

    def test_every_key_has_a_row_and_every_section_a_heading(self):
        page = docs.page()
        assert re.findall("^## `(.+)`$", page, flags=re.MULTILINE) == list(schema()["properties"])
        for place, rule in rules(schema()):
            if "properties" not in rule and "properties" not in rule.get("items", {}):
                assert f"| `{'.'.join(place[1:]) or place[0]}` | {rule['description']}" in page

    def test_tables_are_whole(self):
        """As many cells in each row as in the table's head, whatever the text holds."""
        bar = {"properties": {"a": {"type": "string", "description": "This | that.", "x-unit": "m|s"}}}
        widths = set()
        for page in (docs.page(), docs.page(bar, {"a": "x|y"})):
            lines = [line for line in page.splitlines() if line.startswith("|")]
            assert lines
            widths |= {len(re.findall(r"(?<!\\)\|", line)) for line in lines}
        assert widths == {7}

    def test_value_of_the_file_unit_and_published_value(self):
        rows = {line.split(" | ")[0]: line.strip("| ").split(" | ") for line in docs.page().splitlines()}
        assert rows["| `max_turns`"][2:] == ["whole number of at least 3", "`16`", "turns", "`16`"]
        assert rows["| `passive`"][2:] == ["true or false", "`true`", "–", "`true`"]
        assert rows["| `trust_remote_code`"][3] == "`false`"
        assert rows["| `architecture`"][3] == "(must be given)"


@pytest.mark.parametrize("arguments", [[], ["dosc"], ["docs", "--chekc"]])
def test_a_command_that_does_not_exist_ends_with_an_error(arguments, capsys):
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == 2
    assert "python -m syncr2" in capsys.readouterr().err
