"""The web page, as a person at the instrument uses it."""

from __future__ import annotations

import json
import re
import threading
from importlib import resources

from playwright.sync_api import expect

import labthings_fastapi as lt


class Pump(lt.Thing):
    """A pump with everything that can go on."""

    flow: float = lt.property(default=1.0, ge=0, le=10, allow_inf_nan=False, unit="mL/s")
    """Flow."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.stopped = threading.Event()

    @lt.action(concurrency="queue")
    def fill(self, volume: float = 5.0) -> float:
        """Fill the syringe."""
        self.logger.info("filling %s", volume)
        lt.progress(1, 4, unit="mL")
        while not self.stopped.is_set():
            lt.cancellable_sleep(0.02)
        return volume

    @lt.action
    def finish(self) -> None:
        """Let the syringe be full."""
        self.stopped.set()

    @lt.action(stop=True)
    def halt(self) -> None:
        """Stop the pump."""
        self.halted = True


def card(page, name):
    return page.locator(f"section.action:has(code.name:text-is('{name}'))")


def test_a_newcomer_moves_the_stage(serve, lab):
    bench = resources.files("labthings_fastapi.demo") / "bench.json"
    page = lab(serve(json.loads(bench.read_text("utf-8"))["things"]), "")
    page.get_by_role("link", name="Stage").click()
    move = card(page, "move_to")
    move.get_by_label("x", exact=True).fill("40")
    move.get_by_role("button", name="Run move_to").click()
    expect(move.locator("[data-status=completed]")).to_be_visible()
    expect(page.locator("[data-property=position]")).to_contain_text("40")
    assert page.wrong == []


def test_a_property_shows_what_the_server_has_and_refusals_at_its_field(serve, lab):
    page = lab(serve({"pump": Pump}), "ui/#/thing/pump")
    field = page.get_by_role("textbox", name="Set to: Flow")
    field.fill("11")
    page.get_by_role("button", name="Set", exact=True).click()
    expect(page.get_by_text("at most 10")).to_be_visible()
    expect(page.locator("[data-property=flow]")).to_contain_text("1mL/s")
    field.fill("2.5")
    field.press("Enter")
    expect(page.locator("[data-property=flow]")).to_contain_text("2.5mL/s")
    assert page.wrong == []


def test_a_run_is_followed_to_its_end_and_can_be_cancelled(serve, lab):
    page = lab(serve({"pump": Pump}), "ui/#/thing/pump")
    fill = card(page, "fill")
    fill.get_by_role("button", name="Run fill").click()
    first = fill.locator("[data-status=running]")
    expect(first).to_contain_text("25 %")
    expect(page.get_by_role("list", name="Log").last).to_contain_text("filling 5.0")
    first.get_by_role("button", name="Cancel fill").click()
    expect(fill.locator("[data-status=cancelled]")).to_be_visible()
    fill.get_by_label("volume").fill("7")
    fill.get_by_role("button", name="Run fill").click()
    expect(fill.locator("[data-status=running]")).to_be_visible()
    card(page, "finish").get_by_role("button", name="Run finish").click()
    expect(fill.locator("[data-status=completed]")).to_contain_text("7")
    page.get_by_role("link", name="Runs", exact=True).click()
    expect(page.locator("table.journal tbody tr")).to_have_count(3)
    page.get_by_role("link", name=re.compile("pump.*fill")).first.click()
    expect(page.locator(".run-page")).to_contain_text("filling 7.0")
    assert page.wrong == []


def test_stop_works_with_the_keyboard_from_every_screen(serve, lab):
    page = lab(serve({"pump": Pump}), "ui/#/thing/pump")
    fill = card(page, "fill")
    fill.get_by_role("button", name="Run fill").click()
    expect(fill.locator("[data-status=running]")).to_be_visible()
    page.get_by_role("link", name="Server", exact=True).click()
    page.keyboard.press("Shift+Escape")
    report = page.get_by_role("alert", name="STOP: what answered")
    expect(report).to_contain_text("2 of 2 answered")
    expect(report).to_contain_text("pump: halt")
    assert page.wrong == []


def test_stop_goes_by_http_while_the_socket_is_cut(serve, lab, open_page):
    url = serve({"pump": Pump})
    page = open_page("about:blank")
    sockets = []
    page.route_web_socket(
        re.compile(".*/ws$"), lambda socket: sockets.append(socket) or socket.connect_to_server()
    )
    page.goto(f"{url}/ui/#/thing/pump")
    fill = card(page, "fill")
    fill.get_by_role("button", name="Run fill").click()
    expect(fill.locator("[data-status=running]")).to_be_visible()
    page.route_web_socket(re.compile(".*/ws$"), lambda socket: socket.close())
    sockets[0].close()
    expect(page.get_by_text("No connection since")).to_be_visible()
    page.get_by_role("button", name="STOP", exact=True).click()
    report = page.get_by_role("alert", name="STOP: what answered")
    expect(report).to_contain_text("2 of 2 answered")
