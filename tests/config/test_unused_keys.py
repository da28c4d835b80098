from __future__ import annotations

from omegaconf import OmegaConf

from recsys.config.unused_keys import interpolated_keys, unused_keys


def paths(tree: dict) -> list[str]:
    return [line.split(":")[0] for line in unused_keys(OmegaConf.create(tree))]


def test_only_keys_that_nothing_leads_to_are_unread() -> None:
    tree = {
        "stage": {"sft": {"model": "${model}", "path": "${folder}/x", "rate": "${oc.select:rate,1}"}},
        "model": {"width": "${width}", "deep": {"x": 1}},
        "width": 8,
        "folder": "${oc.env:HOME}/${part.a}",
        "part": {"a": 1, "b": 2},
        "rate": 3,
        "lost": {"inner": "${lonely}"},
        "lonely": 1,
        "seed": 0,
    }
    assert paths(tree) == ["part.b", "lost.inner", "lonely"]


def test_relative_interpolations_are_followed() -> None:
    assert paths({"stage": {"x": {"a": "${..y}"}, "y": 1}}) == []
    assert interpolated_keys("${..z.w}", "a.b.c") == ["a.z.w"]
    assert interpolated_keys("${.z}", "a.b.c") == ["a.b.z"]
    assert interpolated_keys("${list[2].x}", "a") == ["list.2.x"]


def test_an_empty_group_is_unread_too_and_the_nearest_key_is_named() -> None:
    assert unused_keys(OmegaConf.create({"limt": {}})) == ["limt: nothing reads this key; did you mean 'limit'?"]
