"""Names of pairs, conditions and families, and how many of each an experiment has."""

from __future__ import annotations

import pytest

from syncr2 import ids


class TestPairs:
    @pytest.mark.parametrize("n", [1, 2, 3, 6, 7])
    def test_every_pair_once_and_both_speaking_orders(self, n):
        names = [f"model-{i}" for i in range(n)]
        pairs = ids.unordered_pairs(names)
        assert len(pairs) == n * (n + 1) // 2
        assert {frozenset(pair) for pair in pairs} == {frozenset((a, b)) for a in names for b in names}
        ordered = [order for pair in pairs for order in ids.speaking_orders(*pair)]
        assert sorted(ordered) == sorted((a, b) for a in names for b in names)

    def test_a_seventh_model_adds_thirteen_ordered_pairs(self):
        def ordered(n: int) -> set[str]:
            pairs = ids.unordered_pairs([f"model-{i}" for i in range(n)])
            return {order.id for pair in pairs for order in ids.speaking_orders(*pair)}

        assert ordered(6) < ordered(7)
        assert len(ordered(7) - ordered(6)) == 13

    def test_order_of_the_configuration_is_kept(self):
        assert ids.unordered_pairs(["b", "a"]) == [("b", "b"), ("b", "a"), ("a", "a")]

    @pytest.mark.parametrize(
        ("first", "second"), [("a", "b"), ("llama-3.2-3b", "mistral-7b-v0.1"), ("a-b", "b-a"), ("a_1", "a_1")]
    )
    def test_name_in_paths_can_be_taken_apart_again(self, first, second):
        pair = ids.OrderedPair(first, second)
        assert pair.id == f"{first}--{second}"
        assert ids.OrderedPair.parse(pair.id) == pair

    @pytest.mark.parametrize("name", ["a", "a--b--c", ""])
    def test_what_is_no_pair_is_not_taken_for_one(self, name):
        with pytest.raises(ValueError, match="unpack"):
            ids.OrderedPair.parse(name)

    def test_orders_that_were_played_are_the_first_of_both_or_both(self):
        both = ids.speaking_orders("a", "b")
        assert ids.played_orders("a", "b", both) == both
        assert ids.played_orders("a", "b", {both[1]: 0}) == both[1:]

    def test_a_pair_that_was_not_played_has_no_mean(self):
        with pytest.raises(KeyError, match="a and b: neither"):
            ids.played_orders("a", "b", ids.speaking_orders("a", "c"))


class TestConditions:
    def test_published_ones(self):
        found = ids.conditions(True, [3, 5])
        assert [(each.name, each.source_reading, each.lag) for each in found] == [
            ("interaction", "engaged", 1),
            ("passive", "passive", 1),
            ("lag3", "engaged", 3),
            ("lag5", "engaged", 5),
        ]
        assert {each[3:] for each in found} == {("engaged", "partner", "same")}

    def test_controls_of_our_own_come_after_the_published_ones(self):
        *published, untrained, pseudo = ids.conditions(True, [3, 5], untrained=True, pseudo=True)
        assert tuple(published) == ids.conditions(True, [3, 5])
        assert untrained == ("untrained", "untrained", 1, "untrained", "partner", "same")
        assert pseudo == ("pseudo", "engaged", 1, "engaged", "partner", "other")

    def test_controls_can_be_left_out(self):
        assert ids.conditions(False, []) == (ids.INTERACTION,)
        assert ids.conditions(False, [], untrained=True) == (ids.INTERACTION, ids.UNTRAINED)

    def test_readings_are_those_that_states_are_kept_for(self):
        found = ids.conditions(True, [3], True, True)
        assert {each.source_reading for each in found} == set(ids.READINGS)
        assert {each.target_reading for each in found} <= set(ids.READINGS)

    def test_a_condition_goes_through_a_rules_params_and_back(self):
        for condition in ids.conditions(True, [3], True, True):
            assert ids.Condition(*list(condition)) == condition

    def test_only_what_differs_in_the_lag_alone_is_the_interaction_at_a_lag(self):
        found = ids.conditions(True, [3, 5], True, True)
        assert [each.name for each in found if each.is_interaction] == ["interaction", "lag3", "lag5"]
        assert not ids.Condition("own2", "engaged", 2, source_agent="self").is_interaction


FAMILY = {"m1": "mistral", "m2": "mistral", "l1": "llama"}


class TestFamilies:
    @pytest.mark.parametrize(
        ("first", "second", "expected"),
        [("m1", "m2", "mistral"), ("m1", "m1", "mistral"), ("l1", "l1", "llama"), ("m1", "l1", "cross")],
    )
    def test_theirs_or_cross_in_either_order(self, first, second, expected):
        assert ids.pair_family(first, second, FAMILY) == expected
        assert ids.pair_family(second, first, FAMILY) == expected
