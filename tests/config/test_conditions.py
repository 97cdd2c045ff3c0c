"""Conditions: which settings a trial searches, what the others are, and what is refused."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path
from typing import Any

import pytest

from hpsearch.config.conditions import active, needs
from hpsearch.config.definition import StudyDefinition, diff_identity
from hpsearch.config.load import load_definition
from hpsearch.config.parameters import MAX_GRID_POINTS
from hpsearch.config.problems import InvalidDefinition
from hpsearch.config.space import default_point, every_value, grid_points, grid_size, point_key, variations
from hpsearch.config.validate import validate_files
from hpsearch.errors import UsageError
from tests.config.test_space import space_of

FLAG = {"type": "categorical", "choices": [False, True]}
RATE = {"type": "loguniform", "low": 1e-5, "high": 1e-3}
DORA: dict[str, Any] = {
    "use_dora": FLAG,
    "lora_r": {"type": "categorical", "choices": [8, 16, 64]},
    "lora_dropout": {"type": "uniform", "low": 0.05, "high": 0.2, "when": {"use_dora": True}},
    "learning_rate": RATE,
}
# c hangs on b, b on a, d on two at once.
CHAIN = {
    "a": {"type": "categorical", "choices": ["x", "y"]},
    "d": {"type": "int", "low": 1, "high": 2, "when": {"a": "x", "c": [5, 6]}, "otherwise": 0},
    "c": {"type": "int", "low": 5, "high": 7, "when": {"b": 2}, "otherwise": 0},
    "b": {"type": "int", "low": 1, "high": 2, "when": {"a": "x"}, "otherwise": 2},
    "e": FLAG,
}


def refusals(values: dict[str, Any]) -> list[str]:
    with pytest.raises(InvalidDefinition) as error:
        StudyDefinition.from_flat(values, source="s.json")
    return [str(each) for each in error.value.problems]


class TestActive:
    """The settings that are searched beside each value."""

    def test_a_setting_is_searched_only_where_its_condition_holds(self) -> None:
        space = space_of(**CHAIN)
        assert set(active(space, {"a": "y", "e": True})) == {"a", "e"}
        assert set(active(space, {"a": "x", "b": 1, "e": True})) == {"a", "b", "e"}
        assert set(active(space, {"a": "x", "b": 2, "c": 7})) == {"a", "b", "c", "e"}
        assert active(space, {"a": "x", "b": 2, "c": 6})[-1] == "d"

    def test_what_hangs_on_an_inactive_setting_is_inactive_whatever_that_one_is_otherwise(self) -> None:
        """b is 2 otherwise, which is what c asks for."""
        assert "c" not in active(space_of(**CHAIN), {"a": "y", "b": 2})

    def test_one_and_true_are_distinguished(self) -> None:
        space = space_of(
            n={"type": "int", "low": 0, "high": 1}, m={"type": "int", "low": 1, "high": 3, "when": {"n": 1}}
        )
        assert set(active(space, {"n": 1.0})) == {"n", "m"}
        assert set(active(space, {"n": True})) == {"n"}

    def test_the_default_configuration_has_the_active_settings_alone(self) -> None:
        definition = StudyDefinition.from_flat({"search_space": DORA})
        assert definition.default_params() == {"use_dora": False, "lora_r": 16, "learning_rate": 2e-4}
        space = DORA | {"use_dora": FLAG | {"default": True}}
        assert StudyDefinition.from_flat({"search_space": space}).default_params() == {
            "use_dora": True,
            "lora_r": 16,
            "lora_dropout": 0.05,
            "learning_rate": 2e-4,
        }


class TestInactive:
    """The value of a setting while it is inactive."""

    def test_it_has_its_otherwise_or_the_settings_default(self) -> None:
        params = {"use_dora": False, "lora_r": 8, "learning_rate": 1e-4}
        assert StudyDefinition.from_flat({"search_space": DORA}).trial_settings(params, 1)["lora_dropout"] == 0.0
        space = DORA | {"lora_dropout": DORA["lora_dropout"] | {"otherwise": 0.1}}
        definition = StudyDefinition.from_flat({"search_space": space})
        assert definition.trial_settings(params, 1)["lora_dropout"] == 0.1
        assert definition.best_config(params, 1)["lora_dropout"] == 0.1
        active = definition.trial_settings(params | {"use_dora": True, "lora_dropout": 0.2}, 1)
        assert active["lora_dropout"] == 0.2

    def test_a_command_gets_a_value_for_every_placeholder(self) -> None:
        definition = StudyDefinition.from_flat(
            {
                "command": ["p", "{a}", "{b}", "{c}", "{d}"],
                "search_space": CHAIN,
                "objective": {"metric": "cer", "direction": "minimize"},
            }
        )
        settings = definition.trial_settings({"a": "y", "e": True}, 1)
        assert settings == {"a": "y", "b": 2, "c": 0, "d": 0, "e": True, "seed": 1}
        assert definition.fill_command(settings, seed=1) == ("p", "y", "2", "0", "0")

    def test_a_retry_without_all_its_values_is_filled_as_the_default_is(self) -> None:
        assert every_value(space_of(**CHAIN), {"a": "x", "b": 2}, {"c": 7}) == {
            "a": "x",
            "b": 2,
            "c": 7,
            "d": 0,
            "e": False,
        }


class TestGrid:
    """Every combination of active settings, each once."""

    def test_points_have_no_inactive_settings_and_none_is_there_twice(self) -> None:
        points = grid_points(space_of(**CHAIN))
        without = [{name: point[name] for name in point if name != "e"} for point in points if point["e"]]
        assert sorted(map(json.dumps, without)) == sorted(
            map(
                json.dumps,
                [
                    {"a": "y"},
                    {"a": "x", "b": 1},
                    {"a": "x", "b": 2, "c": 7},
                    *({"a": "x", "b": 2, "c": c, "d": d} for c, d in itertools.product((5, 6), (1, 2))),
                ],
            )
        )
        assert len(points) == len({point_key(point) for point in points}) == grid_size(space_of(**CHAIN)) == 14

    def test_its_default_is_one_of_its_points(self) -> None:
        space = DORA | {"lora_dropout": DORA["lora_dropout"] | {"points": 3}, "learning_rate": RATE | {"points": 2}}
        definition = StudyDefinition.from_flat({"search_space": space, "search_mode": "grid"})
        assert definition.grid_size() == 3 * 2 * (1 + 3)
        assert definition.default_params() in grid_points(definition.search_space)

    @pytest.mark.parametrize("shared", [1, 4])
    def test_one_too_large_is_refused_by_what_is_active(self, shared: int) -> None:
        """2 x 100 x 100 points without conditions; with them 2 x 100 at most."""
        hundred = {"type": "int", "low": 1, "high": 100}
        space = space_of(
            a=FLAG,
            b=hundred | {"when": {"a": True}},
            c=hundred | {"when": {"a": False}},
            d={"type": "int", "low": 1, "high": shared},
        )
        assert grid_size(space) == 200 * shared
        too_large = space_of(
            a=hundred, b=hundred | {"when": {"a": list(range(1, 100))}}, c={"type": "int", "low": 1, "high": 2}
        )
        with pytest.raises(
            UsageError, match=r"this one 19,802 \(a 100 x b 100 x c 2, less what conditions leave out\)"
        ):
            grid_size(too_large)
        assert MAX_GRID_POINTS == 10_000


class TestRefusals:
    """Conditions that are refused: place, rule, values and remedy."""

    @pytest.mark.parametrize(
        ("ranges", "message"),
        [
            (
                {"lora_dropout": {"when": {"use_dorra": True}}},
                'a condition names another setting of the trial, but "use_dorra" is neither searched nor fixed '
                '(s.json#/search_space/lora_dropout/when/use_dorra); did you mean "use_dora" or "use_rslora"?',
            ),
            (
                {"lora_dropout": {"when": {"lora_r": [8, 32]}}},
                'a condition names values that are tried, but 32 is none of "lora_r"\'s '
                "(s.json#/search_space/lora_dropout/when/lora_r); use some of [8, 16, 64], or add it there",
            ),
            (
                {"lora_dropout": {"when": {"use_dora": 1}}},
                'a condition names values that are tried, but 1 is none of "use_dora"\'s '
                "(s.json#/search_space/lora_dropout/when/use_dora); use some of [false, true], or add it there",
            ),
            (
                {"lora_dropout": {"when": {"learning_rate": 1e-4}}},
                'a condition names values that are tried exactly, but "learning_rate" has a continuous range '
                '(s.json#/search_space/lora_dropout/when/learning_rate); make it "categorical" or "int", or delete '
                "the condition",
            ),
            (
                {"lora_dropout": {"when": {}}},
                '"when" of "lora_dropout" is an object of settings and their values, but is {} '
                '(s.json#/search_space/lora_dropout/when); write {"use_dora": true} or {"lora_r": [32, 64]}',
            ),
            (
                {"lora_dropout": {"when": {"use_dora": []}}},
                "a condition names a number, a text, true or false, or several of them, but is [] "
                '(s.json#/search_space/lora_dropout/when/use_dora); write {"use_dora": true} or {"lora_r": [32, 64]}',
            ),
            (
                {"lora_dropout": {"when": {"use_dora": True}, "otherwise": 1.5}},
                '"lora_dropout" must be < 1, but is 1.5 (s.json#/search_space/lora_dropout/otherwise); '
                "write a number >= 0.0 and < 1.0, such as 0.0",
            ),
            (
                {"lora_dropout": {"when": None, "otherwise": 0.0}},
                '"otherwise" of "lora_dropout" is its value where "when" does not hold, but there is no "when" '
                '(s.json#/search_space/lora_dropout/otherwise); delete it, or add "when"',
            ),
            (
                {"seed": {"type": "int", "low": 1, "high": 2, "when": {"use_dora": True}}},
                '"seed" is searched in every trial or in none, but has a condition '
                "(s.json#/search_space/seed/when); delete it",
            ),
        ],
    )
    def test_place_rule_values_and_remedy(self, ranges: dict[str, Any], message: str) -> None:
        space = DORA | {name: DORA.get(name, {}) | change for name, change in ranges.items()}
        assert refusals({"search_space": space}) == [message]

    def test_a_cycle_is_refused_with_each_setting_on_it(self) -> None:
        space = DORA | {
            "use_dora": FLAG | {"when": {"use_rslora": True}},
            "use_rslora": FLAG | {"when": {"use_dora": True}},
        }
        message = refusals({"search_space": space})
        assert [line.partition("(s.json#")[2].partition(")")[0] for line in message] == [
            "/search_space/use_dora/when",
            "/search_space/lora_dropout/when",
            "/search_space/use_rslora/when",
        ]
        own = {"search_space": {"use_dora": FLAG | {"when": {"use_dora": True}}, "learning_rate": RATE}}
        assert "leads back to itself" in refusals(own)[0]

    def test_conditions_that_rule_each_other_out_are_refused(self) -> None:
        space = DORA | {
            "lora_dropout": {"type": "categorical", "choices": [0.1, 0.2], "when": {"use_dora": True}},
            "weight_decay": RATE | {"when": {"lora_dropout": 0.1, "use_dora": False}},
        }
        assert refusals({"search_space": space}) == [
            '"weight_decay" is never searched: its conditions ask for different values of "use_dora" '
            "(s.json#/search_space/weight_decay/when); delete one condition"
        ]

    def test_a_command_says_what_its_setting_is_otherwise(self) -> None:
        space = {
            name: {key: value for key, value in each.items() if key != "otherwise"} for name, each in CHAIN.items()
        }
        values = {"command": ["p"], "search_space": space, "objective": {"metric": "cer", "direction": "minimize"}}
        assert [line.rpartition("; ")[2] for line in refusals(values)] == ['add "otherwise"'] * 3

    def test_many_conditions_on_conditions_take_no_time(self) -> None:
        space: dict[str, Any] = {"a0": FLAG, "b0": FLAG}
        for level in range(1, 60):
            when = {f"a{level - 1}": True, f"b{level - 1}": True}
            space |= {f"{side}{level}": FLAG | {"when": when, "otherwise": False} for side in "ab"}
        started = time.process_time()
        values = {"command": ["p"], "search_space": space, "objective": {"metric": "cer", "direction": "minimize"}}
        assert len(needs(StudyDefinition.from_flat(values).search_space)["a59"]) == 118
        assert time.process_time() - started < 10


class TestFixed:
    """Conditions on what is not searched are settled when the definition is read."""

    def test_one_that_holds_falls_away_and_one_that_does_not_takes_its_range_along(self) -> None:
        held = StudyDefinition.from_flat({"search_space": _without(DORA, "use_dora"), "use_dora": True})
        assert held.search_space["lora_dropout"].when is None
        fails = StudyDefinition.from_flat({"search_space": _without(DORA, "use_dora")})
        assert set(fails.search_space) == {"lora_r", "learning_rate"}
        assert fails.settings["lora_dropout"] == 0.0

    def test_what_hangs_on_a_range_that_is_ruled_out_goes_too_and_keeps_its_otherwise(self) -> None:
        command = {"command": ["p", "{c}"], "objective": {"metric": "cer", "direction": "minimize"}}
        values = command | {"search_space": _without(CHAIN, "a"), "settings": {"a": "y"}}
        definition = StudyDefinition.from_flat(values)
        assert (set(definition.search_space), definition.settings) == ({"e"}, {"a": "y", "b": 2, "c": 0, "d": 0})
        assert StudyDefinition.from_flat(definition.flat()) == definition

    def test_an_option_may_fix_what_others_hang_on(self, tmp_path: Path) -> None:
        path = tmp_path / "s.json"
        path.write_text(json.dumps({"search_space": DORA}), encoding="utf-8")
        fixed = load_definition("s", path, sets=["use_dora=true"])
        assert (set(fixed.search_space), fixed.settings["use_dora"]) == (
            {"lora_r", "lora_dropout", "learning_rate"},
            True,
        )
        assert "lora_dropout" not in load_definition("s", path, sets=["search_space.use_dora=null"]).search_space
        moved = load_definition("s", path, sets=['search_space.lora_dropout.when={"lora_r": 64}'])
        assert moved.search_space["lora_dropout"].when == {"lora_r": (64,)}
        freed = load_definition("s", path, sets=["search_space.lora_dropout.when=null"])
        assert freed.search_space["lora_dropout"].when is None

    def test_nothing_left_to_search_is_refused(self) -> None:
        (message,) = refusals({"search_space": {"lora_dropout": DORA["lora_dropout"]}})
        assert message == (
            "a study searches at least one setting, but the fixed settings rule out every range of search_space "
            '(s.json#/search_space); correct their "when", or what they depend on'
        )

    def test_validate_says_what_is_ruled_out(self, tmp_path: Path) -> None:
        path = tmp_path / "s.json"
        path.write_text(json.dumps({"search_space": _without(DORA, "use_dora")}), encoding="utf-8")
        (found,) = validate_files([path])
        assert not found.is_error
        assert '"lora_dropout" is never searched: what its "when" asks for is fixed to something else' in found.text

    def test_a_bare_space_is_checked_too(self, tmp_path: Path) -> None:
        path = tmp_path / "space.json"
        path.write_text(json.dumps(DORA | {"lora_dropout": DORA["lora_dropout"] | {"when": {"lora_r": 9}}}), "utf-8")
        (found,) = validate_files([path])
        assert '9 is none of "lora_r"\'s' in found.text and "space.json#/lora_dropout/when/lora_r" in found.text


class TestIdentity:
    """The part that may not change under a study."""

    def test_a_condition_may_not_change_and_a_note_may(self) -> None:
        one = StudyDefinition.from_flat({"search_space": DORA})
        noted = DORA | {"lora_r": DORA["lora_r"] | {"why": "rows are few"}}
        assert StudyDefinition.from_flat({"search_space": noted}).identity() == one.identity()
        moved = DORA | {"lora_dropout": DORA["lora_dropout"] | {"when": {"lora_r": 64}}}
        changed = diff_identity(one.identity(), StudyDefinition.from_flat({"search_space": moved}).identity())
        assert changed == [
            "search_space.lora_dropout.when.lora_r: (not given) -> 64",
            "search_space.lora_dropout.when.use_dora: true -> (not given)",
        ]

    def test_the_flat_form_reads_back_the_same(self) -> None:
        definition = StudyDefinition.from_flat(
            {"search_space": DORA | {"lora_r": DORA["lora_r"] | {"why": "few rows"}}}
        )
        assert StudyDefinition.from_flat(json.loads(json.dumps(definition.flat()))) == definition
        assert definition.flat()["search_space"]["lora_dropout"] == DORA["lora_dropout"]


class TestVariations:
    """Checks before a study begins."""

    def test_each_value_is_there_once_in_a_configuration_that_can_be(self) -> None:
        space = space_of(**CHAIN)
        points = [every_value(space, point, {}) for point in variations(space, {})]
        for point in points:
            names = active(space, point)
            assert all(point[name] == space[name].otherwise for name in space if name not in names)
        for name, parameter in space.items():
            tried = [point[name] for point in points if name in active(space, point)]
            assert set(parameter.extremes()) <= {*tried, default_point(space, {}).get(name)}

    def test_differences_are_listed(self) -> None:
        definition = StudyDefinition.from_flat({"search_space": DORA})
        assert {"use_dora": True, "lora_dropout": 0.2} in definition.variations()
        assert {"lora_r": 64} in definition.variations()
        assert not any("lora_dropout" in each and "use_dora" not in each for each in definition.variations())


def _without(space: dict[str, Any], name: str) -> dict[str, Any]:
    return {each: value for each, value in space.items() if each != name}
