"""The panel, or the connection's widget, in a page of its own: the bundle with a model that stands for the kernel's, in a real Chromium."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from colab_guard.panel.view import View

SHELL = "<!doctype html><html lang='en'><head><title>panel</title></head><body style='margin:12px;background:{back}'><main id='at'></main></body></html>"
# a model as anywidget hands it to a widget; `asked` is what the page sent to the controls, `answer` what they say to it
RENDER = """async ([code, traits, answer]) => {
    const calls = {};
    const on = (name, call) => { (calls[name] ??= []).push(call) };
    const off = (name, call) => { calls[name] = (calls[name] ?? []).filter((known) => known !== call) };
    window.asked = [];
    const heard = [];
    const controls = {
        get: (name) => ({ hears: answer !== null })[name], on: (name, call) => heard.push(call), off: () => {},
        send: (content) => { asked.push(content); if (answer) heard.forEach((call) => call({ id: content.id, said: answer })) },
    };
    const model = { get: (name) => traits[name], on, off, send: () => {}, widget_manager: { get_model: async () => controls } };
    window.tell = (changed) => {
        Object.assign(traits, changed);
        for (const name of Object.keys(changed)) (calls[`change:${name}`] ?? []).forEach((call) => call());
    };
    const { default: widget } = await import(URL.createObjectURL(new Blob([code], { type: 'text/javascript' })));
    window.leave = widget.render({ model, el: document.getElementById('at') });
}"""


def traits(view: View, controls: bool = True) -> dict[str, Any]:
    """What the kernel's widget holds."""
    ended = {f"ended{at}": piece for at, piece in enumerate(view.pieces())}
    return {"view": view.to_json(), "controls": "controls" if controls else "", **ended}


def opened(browser: Any, view: View, *, answer: str | None = "", dark: bool = False, width: int = 1040, **more: Any) -> Any:
    """A page that shows `view`. `answer`: what the kernel says to a button ("": nothing; None: it hears nothing)."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light", **more)
    page.clock.install(time=view.now - 60)
    page.clock.pause_at(view.now)
    page.set_content(SHELL.format(back="#111" if dark else "#fff"))
    show(page, view, answer)
    return page


def show(page: Any, view: View, answer: str | None = "") -> None:
    """Draw the widget in `page`."""
    page.evaluate(RENDER, [_bundle("panel"), traits(view), answer])
    page.locator(".colab-guard .head").wait_for()


def connection(browser: Any, now: float, *, width: int = 1040, dark: bool = False, **traits: Any) -> Any:
    """A page that shows the connection's widget as it is at `now`, in a browser that may be asked for notifications."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light")
    page.clock.install(time=now - 60)
    page.clock.pause_at(now)
    page.set_content(SHELL.format(back="#111" if dark else "#fff"))
    held = {"active": True, "every_s": 60, "beat_s": 10, "last_heartbeat": 0, "status": "", "resume": "", "kernel_id": "", "ended": ""}
    page.evaluate("() => { window.Notification = class { static permission = 'default' } }")
    page.evaluate(RENDER, [_bundle("connection"), held | traits, None])
    page.locator(".colab-guard .facts").wait_for()
    return page


def _bundle(name: str) -> str:
    return (files("colab_guard") / "static" / f"{name}.js").read_text(encoding="utf-8")


def static(browser: Any, html: str, *, dark: bool = False, width: int = 1040) -> Any:
    """A page that shows what stays in the notebook."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light")
    page.set_content(SHELL.format(back="#111" if dark else "#fff"))
    page.evaluate("(html) => { document.getElementById('at').innerHTML = html }", html)
    return page
