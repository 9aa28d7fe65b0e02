"""What the configuration's schema says, in plain words: for messages and for docs/configuration.md."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jsonschema.exceptions import ValidationError

# From the top of the configuration to one value: keys, and positions in lists.
Place = tuple[str | int, ...]

_LONGEST_SHOWN = 80
_NOUNS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "array": "list",
    "object": "section of keys",
    "null": "null",
}


def where(raw: Any, place: Place) -> str:
    """A place as people read it, such as `models[2] (llama-3-8b).gpus`; positions count from 0."""
    text, value = "", raw
    for part in place:
        value = _child(value, part)
        if isinstance(part, str):
            text += f".{part}" if text else part
            continue
        text += f"[{part}]"
        name = value.get("name") if isinstance(value, Mapping) else None
        if isinstance(name, str) and name:
            text += f" ({one_line(name)})"
    return text or "top level"


def _child(value: Any, part: str | int) -> Any:
    try:
        return value[part]
    except (KeyError, IndexError, TypeError):
        return None


def shown(value: Any) -> str:
    """A value as YAML would have it, on one line, cut where it is long."""
    match value:
        case None:
            return "nothing (null)"
        case bool():
            return str(value).lower()
        case float() if not math.isfinite(value):
            return "." + repr(value) if value > 0 or math.isnan(value) else "-.inf"
        case str():
            return _cut(repr(value))
        case Mapping():
            return _cut("{" + ", ".join(f"{key}: {shown(item)}" for key, item in value.items()) + "}")
        case list():
            return _cut("[" + ", ".join(shown(item) for item in value) + "]")
    return _cut(repr(value))


def one_line(text: str) -> str:
    """A text as it may stand within a message: line ends and control characters escaped, not too long."""
    return _cut(repr(text)[1:-1])


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


def nearest(word: object, allowed: Iterable[object]) -> str:
    """The allowed word that was probably meant, as a question; nothing if none is close."""
    # Case does not count for closeness: `CPU` means `cpu`.
    words = {str(each).lower(): str(each) for each in allowed}
    close = difflib.get_close_matches(str(word).lower(), words, n=1, cutoff=0.7)
    return f" Did you mean `{words[close[0]]}`?" if close else ""


def allowed(rule: Mapping[str, Any]) -> str:
    """What a rule of the schema lets pass, such as `whole number of at least 1`."""
    if "oneOf" in rule:
        return " or ".join(allowed(option) for option in rule["oneOf"])
    if "const" in rule:
        return f"`{rule['const']}`"
    if "enum" in rule:
        return ", ".join(f"`{each}`" for each in rule["enum"])
    types = _types(rule)
    return " or ".join(_allowed_of_type(kind, rule) for kind in types)


def _types(rule: Mapping[str, Any]) -> list[str]:
    kind = rule["type"]
    return [kind] if isinstance(kind, str) else list(kind)


def _allowed_of_type(kind: str, rule: Mapping[str, Any]) -> str:
    if kind == "string":
        return rule.get("x-form", "text that is not empty" if rule.get("minLength") else "text")
    if kind in ("integer", "number"):
        return _NOUNS[kind] + _limits(rule)
    if kind == "object" and isinstance(rule.get("additionalProperties"), Mapping):
        return f"names, each with a {allowed(rule['additionalProperties'])}"
    if kind == "array":
        least, most = rule.get("minItems", 0), rule.get("maxItems")
        count = f" of {least} items" if least == most else f" of at least {least}" if least else ""
        unlike = "; none twice" if rule.get("uniqueItems") else ""
        needed = f" with {allowed(rule['contains'])} among them" if "contains" in rule else ""
        return f"list{count} (each: {allowed(rule['items'])}{unlike}){needed}"
    return _NOUNS[kind]


def _limits(rule: Mapping[str, Any]) -> str:
    low, above, high = rule.get("minimum"), rule.get("exclusiveMinimum"), rule.get("maximum")
    if low is not None and high is not None:
        return f" from {low} to {high}"
    words = f" of at least {low}" if low is not None else f" above {above}" if above is not None else ""
    if high is not None:
        words += f"{' and' if words else ''} up to {high}"
    return words


def inner_errors(error: ValidationError) -> list[ValidationError]:
    """Where one of several rules has to pass and one wants a list as found: what is wrong inside it."""
    return [each for each in error.context or () if len(each.absolute_path) > len(error.absolute_path)]


def explain(raw: Any, error: ValidationError, schema: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    """One error of the schema's validator as problems in words, each with its place.

    The text depends on the value and its rule, not on which of the rule's words was broken: a value that
    breaks two gives the same text twice, and the caller keeps one.
    """
    place = tuple(error.absolute_path)
    found: Any = error.instance
    rule: Any = error.schema
    at = where(raw, place)
    match error.validator:
        case "additionalProperties":
            known = rule.get("properties", {})
            for key in found:
                if key not in known:
                    yield (
                        place,
                        f"{at}: unknown key `{one_line(str(key))}`.{_for_unknown(key, known, schema)}",
                    )
        case "required":
            for key in rule["required"]:
                if key not in found:
                    yield (
                        place,
                        f"{at}: the key `{key}` is missing; allowed: {allowed(rule['properties'][key])}.",
                    )
        case "uniqueItems":
            repeated = dict.fromkeys(shown(item) for item in found if found.count(item) > 1)
            yield place, f"{at}: found {', '.join(repeated)} more than once; each may stand there once."
        case _:
            inner = inner_errors(error)
            for each in inner:
                yield from explain(raw, each, schema)
            if not inner:
                yield place, f"{at}: {_wrong_value(found, rule)}"


def _for_unknown(key: object, known: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    if here := nearest(key, known):
        return here
    homes = [path for path in _dotted(schema) if path == key or path.endswith(f".{key}")]
    if homes:
        home = homes[0].rpartition(".")[0]
        return f" It belongs {f'under `{home}`' if home else 'to the top level'}."
    return f" Allowed: {', '.join(known)}."


def _dotted(rule: Mapping[str, Any], before: str = "") -> Iterator[str]:
    for key, inner in rule.get("properties", {}).items():
        yield before + key
        yield from _dotted(inner, f"{before}{key}.")
        yield from _dotted(inner.get("items", {}), f"{before}{key}.")


def _wrong_value(found: Any, rule: Mapping[str, Any]) -> str:
    if rule.get("x-secret"):
        # What stands there by mistake may be a key or a password.
        return f"what stands there (not shown) is not right; allowed: {allowed(rule)}."
    return f"found {shown(found)}{_noun(found, rule)}; allowed: {allowed(rule)}.{_hint(found, rule)}"


def _kinds(rule: Mapping[str, Any]) -> set[str]:
    """Types that a rule lets pass."""
    if "oneOf" in rule:
        return set().union(*(_kinds(option) for option in rule["oneOf"]))
    named = rule.get("enum", [rule["const"]] if "const" in rule else [])
    return {kind for each in named if (kind := _kind(each))} or set(_types(rule))


def _kind(value: Any) -> str | None:
    for kind, types in (("boolean", bool), ("integer", int), ("number", float), ("string", str)):
        if isinstance(value, types):
            return kind
    return "array" if isinstance(value, list) else "object" if isinstance(value, Mapping) else None


def _noun(found: Any, rule: Mapping[str, Any]) -> str:
    kind, wanted = _kind(found), _kinds(rule)
    if kind is None or kind in wanted or (kind in ("integer", "number") and wanted & {"integer", "number"}):
        return ""
    return f" (a {'truth value' if kind == 'boolean' else _NOUNS[kind]})"


def _hint(found: Any, rule: Mapping[str, Any]) -> str:
    kind, wanted = _kind(found), _kinds(rule)
    options = [option["const"] for option in rule.get("oneOf", ()) if "const" in option]
    words = rule.get("enum", options)
    if found is None:
        return " Leave the key out to keep its default."
    if wanted == {"array"} and kind in _kinds(rule["items"]) and rule.get("minItems", 0) < 2:
        return f" Write a list: [{found if kind == 'string' else shown(found)}]."
    if kind == "string":
        return nearest(found, words) or (_hint_for_text(found) if "string" not in wanted or options else "")
    if kind in ("boolean", "integer", "number") and wanted <= {"string", "null"}:
        also = " YAML reads yes, no, on and off as truth values." if kind == "boolean" else ""
        return f"{also} Put a text in quotes."
    if kind == "number" and not math.isfinite(found):
        return " A finite number is needed."
    if kind == "number" and "integer" in wanted and found == int(found):
        return f" Write {int(found)}."
    return ""


def _hint_for_text(found: str) -> str:
    try:
        number = float(found)
    except ValueError:
        if found.lower() not in ("true", "false", "yes", "no", "on", "off"):
            return ""
    else:
        if math.isfinite(number) and "e" in found.lower():
            return f" YAML takes it for a text; write {number!r}."
    return " Write it without quotes, and in a file: `--config` takes all in { } and [ ] for text."
