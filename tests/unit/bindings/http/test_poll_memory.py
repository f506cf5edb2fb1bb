"""How far clients that poll have got."""

from __future__ import annotations

from labthings_fastapi.bindings.http.poll_memory import KEPT_SECONDS, MAX_KEPT, PollMemory
from labthings_fastapi.bindings.http.request_response import HttpResponse


def asking(host="192.0.2.1", port=1000, **headers):
    """A request of this client; nothing is read from it or sent."""
    raw = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
    return HttpResponse({"headers": raw, "client": (host, port)}, None, None, "/stage/x")


def test_a_client_is_known_again_on_another_connection():
    memory = PollMemory()
    memory.note(asking(port=1), "life-5")
    assert memory.after(asking(port=2)) == "life-5"


def test_other_addresses_programs_and_people_are_other_clients():
    memory = PollMemory()
    memory.note(asking(user_agent="node"), "life-5")
    assert memory.after(asking("192.0.2.2", user_agent="node")) is None
    assert memory.after(asking(user_agent="python")) is None
    assert memory.after(asking(user_agent="node", authorization="Bearer abc")) is None


def test_a_client_is_forgotten_after_a_while():
    now = [100.0]
    memory = PollMemory(lambda: now[0])
    memory.note(asking(), "life-5")
    now[0] += KEPT_SECONDS - 0.1
    assert memory.after(asking()) == "life-5"
    now[0] += 0.2
    assert memory.after(asking()) is None


def test_only_the_latest_clients_are_remembered():
    memory = PollMemory()
    for number in range(MAX_KEPT + 1):
        memory.note(asking(f"host{number}"), f"life-{number}")
        memory.note(asking("faithful"), "life-0")
    assert memory.after(asking("host0")) is None
    assert memory.after(asking(f"host{MAX_KEPT}")) == f"life-{MAX_KEPT}"
    assert memory.after(asking("faithful")) == "life-0"


def test_a_client_without_an_address_is_one_all_the_same():
    memory = PollMemory()
    request = HttpResponse({"headers": [], "client": None}, None, None, "/stage/x")
    memory.note(request, "life-1")
    assert memory.after(request) == "life-1"
