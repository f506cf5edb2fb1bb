from __future__ import annotations

from labthings_fastapi.thing_description.forms import form, in_order


def test_members_without_a_value_are_left_out():
    assert form("/stage/speed", "readproperty") == {
        "href": "/stage/speed",
        "op": "readproperty",
        "contentType": "application/json",
    }


def test_all_members():
    written = form(
        "/stage/log",
        ("subscribeevent", "unsubscribeevent"),
        content_type="text/event-stream",
        subprotocol="sse",
        method="GET",
        response_content_type="image/jpeg",
        additional_responses=[{"success": False, "contentType": "application/problem+json"}],
        security=("bearer",),
        scopes="operator",
        **{"labthings:group": "axes"},
    )
    assert written == {
        "href": "/stage/log",
        "op": ["subscribeevent", "unsubscribeevent"],
        "contentType": "text/event-stream",
        "subprotocol": "sse",
        "htv:methodName": "GET",
        "response": {"contentType": "image/jpeg"},
        "additionalResponses": [{"success": False, "contentType": "application/problem+json"}],
        "security": ["bearer"],
        "scopes": "operator",
        "labthings:group": "axes",
    }


def test_an_operation_given_as_text_stays_text():
    assert form("/x", "readproperty")["op"] == "readproperty"
    assert form("/x", ["readproperty"])["op"] == ["readproperty"]


def test_plain_http_comes_first_and_other_protocols_last():
    read = form("/x", "readproperty")
    write = form("/x", "writeproperty")
    poll = form("/x", ["observeproperty", "unobserveproperty"], subprotocol="longpoll")
    stream = form("/x", "observeproperty", subprotocol="sse")
    socket = form("ws://host/x", "readproperty", subprotocol="webthingprotocol")
    bare_socket = form("wss://host/x", "readproperty")
    mqtt = form("mqtt://host/x", "readproperty")
    given = [socket, bare_socket, stream, poll, write, read, mqtt]
    assert in_order(given) == [read, write, poll, stream, socket, bare_socket, mqtt]


def test_forms_of_equal_rank_keep_their_order():
    query, cancel = form("/x/{id}", "queryaction"), form("/x/{id}", "cancelaction")
    assert in_order([cancel, query]) == [cancel, query]
