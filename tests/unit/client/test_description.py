"""Which form a client takes of a Thing Description."""

from __future__ import annotations

import pytest

from labthings_fastapi.client.description import Description
from labthings_fastapi.exceptions import ForeignAddressError


def described(*forms: dict[str, object]) -> Description:
    members = {"title": "Lamp", "properties": {"level": {"forms": list(forms)}}}
    return Description("http://10.0.0.2:80/lamp", members)


def href_of(description: Description, operation: str = "readproperty") -> str:
    form = description.form("properties", "level", operation)
    assert form is not None
    return form.href


def test_of_several_addresses_that_of_the_description_is_taken() -> None:
    """node-wot names each address of its computer."""
    forms = [{"href": f"http://{host}/lamp/level"} for host in ("10.9.9.9", "10.0.0.2", "[::1]")]
    assert href_of(described(*forms)) == "http://10.0.0.2/lamp/level"


def test_of_several_content_types_json_is_taken() -> None:
    """node-wot offers CBOR too."""
    cbor = {"href": "/cbor", "contentType": "application/cbor"}
    json = {"href": "/json", "contentType": "application/json; charset=utf-8"}
    assert href_of(described(cbor, json)).endswith("/json")
    assert href_of(described(cbor, {"href": "/plain"})).endswith("/plain")
    assert href_of(described(cbor)).endswith("/cbor")


def test_otherwise_the_first_that_fits_is_taken() -> None:
    write, first, second = (
        {"href": "/write", "op": "writeproperty"},
        {"href": "/first", "op": ["readproperty", "writeproperty"]},
        {"href": "/second"},
    )
    assert href_of(described(write, first, second)).endswith("/first")
    assert href_of(described(write, first, second), "writeproperty").endswith("/write")


def test_a_server_with_other_addresses_only_is_refused() -> None:
    with pytest.raises(ForeignAddressError, match="another server"):
        href_of(described({"href": "http://10.9.9.9/lamp/level"}))
