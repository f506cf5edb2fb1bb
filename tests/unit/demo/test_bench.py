"""The configuration file that ships with the package makes a working bench."""

from __future__ import annotations

import pytest


def test_the_bench_has_its_things_connected_to_one_another(bench):
    assert set(bench) == {"stage", "camera", "autofocus", "scan", "host"}
    assert bench["camera"].stage is bench["stage"]
    assert bench["autofocus"].camera is bench["camera"]
    assert bench["scan"].autofocus is bench["autofocus"]


@pytest.mark.parametrize("name", ["stage", "camera", "autofocus", "scan", "host"])
def test_titles_are_short_enough_for_a_button(bench, name):
    thing = bench[name]
    titles = [
        thing.title,
        *(p.title for p in [*thing.properties.values(), *thing.actions.values()]),
    ]
    assert max(len(title) for title in titles) <= 60
