"""The services of a server."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labthings_fastapi.discovery.services import MAX_NAME_BYTES, SERVICE_TYPE, Origin

ID = UUID("0a1b2c3d-0000-4000-8000-000000000000")
LAB = Origin("lab-pc.example.org", ID)


def test_a_thing_is_announced_by_title_and_name_with_its_computer_and_server():
    service = LAB.thing("stage", "Three-axis stage", "/api/stage/")
    assert service.name == "Three-axis stage (stage) on lab-pc 0a1b2c3d"
    assert service.txt("https") == {"td": "/api/stage/", "type": "Thing", "scheme": "https"}


def test_a_title_that_equals_the_name_is_not_repeated():
    assert LAB.thing("stage", "Stage", "/stage/").name == "Stage on lab-pc 0a1b2c3d"


def test_the_directory_is_announced_where_clients_look_for_it():
    directory = Origin("lab-pc").directory("/api")
    assert directory.name == "All Things on lab-pc"
    assert directory.txt("http") == {
        "td": "/api/.well-known/wot",
        "type": "Directory",
        "scheme": "http",
    }


@pytest.mark.parametrize(
    ("host", "target"),
    [
        ("lab-pc.example.org", "lab-pc.local."),
        ("Bäume 3", "B-ume-3.local."),
        ("", "localhost.local."),
    ],
)
def test_the_computer_gets_a_name_that_fits_in_dns(host, target):
    assert Origin(host).target == target


@given(st.text(min_size=1, max_size=99), st.text(max_size=300), st.text(max_size=99))
def test_every_name_is_one_that_zeroconf_takes(name, title, host):
    from zeroconf import ServiceInfo

    service = Origin(host, ID).thing(name, title, "/stage/")
    assert len(service.name.encode()) < MAX_NAME_BYTES
    info = ServiceInfo(SERVICE_TYPE, f"{service.name}.{SERVICE_TYPE}", port=1)
    assert info.name == f"{service.name}.{SERVICE_TYPE}"


def test_names_are_unique_also_where_only_their_ends_differ():
    taken = set()
    for number in range(12):
        service = LAB.thing(f"camera{number}", "A very long title " * 4, "/")
        taken.add(service.name)
        taken.add(LAB.thing(f"camera{number}", "X" * 99, "/", taken).name)
    names = [LAB.thing("same", "X" * 99, "/", taken).name for _ in range(2)]
    assert names[0] == names[1]
    assert names[0] not in taken
    assert len(names[0].encode()) <= MAX_NAME_BYTES


@pytest.mark.parametrize(
    "names", [("pump", "PUMP"), ("straße", "STRASSE"), ("Pump", "pump", "pUmP")]
)
def test_names_that_differ_in_case_only_get_other_names(names):
    """RFC 6762, section 16: mDNS compares names without regard to case."""
    taken = set()
    for name in names:
        taken.add(LAB.thing(name, name, f"/{name}/", taken).name)
    taken.add(LAB.directory(taken=taken).name)
    assert len({each.casefold() for each in taken}) == len(names) + 1
