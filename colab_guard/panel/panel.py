"""`PanelModel` listens; `Panel` draws what it knows: at most once a second, and once in ten after ten minutes or without news.

So a page that hears nothing for longer knows that it is cut off, or that the kernel is (js/src/draw.js, SILENT_S).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from colab_guard.clock import Clock
from colab_guard.events import Event, EventBus, ListenerFailed
from colab_guard.panel.html import HtmlRenderer
from colab_guard.panel.reducer import reduce
from colab_guard.panel.state import PanelState
from colab_guard.panel.surfaces import Hear, HtmlSurface, Surface, choose
from colab_guard.panel.text import TextRenderer
from colab_guard.panel.view import View, compose
from colab_guard.workers import Worker, Workers

UPDATE_S = 1.0
CALM_AFTER_S = 600.0
CALM_UPDATE_S = 10.0


class PanelModel:
    """The newest `PanelState`, from any thread. `version` grows with every event that changed something."""

    def __init__(self, bus: EventBus) -> None:
        self._lock = threading.Lock()
        self._state = PanelState()
        self._version = 0
        self._undo = bus.subscribe(self._hear)

    def _hear(self, event: Event, at: float) -> None:
        with self._lock:
            state = reduce(self._state, event, at)
            if state is not self._state:
                self._state = state
                self._version += 1

    @property
    def newest(self) -> tuple[PanelState, int]:
        """The state and its version."""
        with self._lock:
            return self._state, self._version

    def close(self) -> None:
        """Listen no more; the last state stays."""
        self._undo()


class Panel:
    """What the session drives. It listens from its making on, and draws from `show` until `freeze`.

    `shell` is IPython's (None outside it); `surface` makes the place to draw on, by default the best that `shell` has.
    `ask` does what a page asks for ("stop", "commit") and says in words what follows; None: a page can ask for nothing.
    """

    def __init__(
        self,
        shell: object,
        bus: EventBus,
        clock: Clock,
        workers: Workers,
        *,
        surface: Callable[[object, Hear | None], Surface] = choose,
        ask: Callable[[str], str] | None = None,
    ) -> None:
        self._shell = shell
        self._bus = bus
        self._clock = clock
        self._workers = workers
        self._choose = surface
        self._ask = ask
        self._surface: Surface | None = None
        self._ticker: Worker | None = None
        self._shown_at = self._drawn_at = 0.0
        self._drawn_version = -1
        self._told = ""
        """The error of the turn before."""
        self._drawing = threading.Lock()
        self.model = PanelModel(bus)

    @property
    def state(self) -> PanelState:
        """All that the panel knows."""
        return self.model.newest[0]

    @property
    def runs_sweep(self) -> bool:
        """Whether a sweep's loop is under way, so that a unit will end."""
        state = self.state
        return state.phase == "running" and state.sweep is not None and state.sweep.under_way

    def view(self) -> View:
        """What would be drawn now."""
        return compose(self.state, self._clock.time())

    def text(self) -> str:
        """The panel in words."""
        return TextRenderer().render(self.view())

    def html(self) -> str:
        """The panel as self-contained static HTML."""
        return HtmlRenderer().render(self.view(), static=True)

    def show(self, *, live: bool = True) -> None:
        """Draw in the output of the running cell; a drawing of before is frozen. `live`: work runs, so that there will be news."""
        if self._surface is not None:
            self._end(self._surface.live)
        self._bus.flush(1.0)
        self._shown_at = self._drawn_at = self._clock.monotonic()
        self._drawn_version = self.model.newest[1]
        self._surface = self._first_drawing()
        if live and self._surface is not None and self._surface.live:
            self._ticker = self._workers.periodic("panel", UPDATE_S, self.tick)

    def _first_drawing(self) -> Surface | None:
        """Draw on the best surface that takes it; None where none does. The cell's first line is yet to run, and runs in any case."""
        hear = self._hear if self._ask is not None else None
        surfaces: tuple[Callable[[], Surface], ...] = (lambda: self._choose(self._shell, hear), HtmlSurface)
        for make in surfaces:
            try:
                surface = make()
                surface.show(self.view())
            except Exception as error:  # a drawing never fails the work that it shows
                self._failed(error)
            else:
                return surface
        return None

    def tick(self) -> None:
        """Draw the newest state if it is due; called by the sampler. An error is told once, and tried again."""
        with self._drawing:
            now, version = self._clock.monotonic(), self.model.newest[1]
            calm = version == self._drawn_version or now - self._shown_at >= CALM_AFTER_S
            every_s = CALM_UPDATE_S if calm else UPDATE_S
            # half a tick of slack: the sampler's own turns are not exact
            if self._surface is None or now - self._drawn_at < every_s - UPDATE_S / 2:
                return
            self._drawn_at, self._drawn_version = now, version
            try:
                if not self._surface.update(self.view()):
                    self._drawn_version = -1
            except Exception as error:  # a drawing never fails the work that it shows, and the next state may be drawn
                self._failed_again(error)
            else:
                self._told = ""

    def _failed_again(self, error: Exception) -> None:
        words = f"{type(error).__name__}: {error}"
        if words != self._told:
            self._told = words
            self._workers.failed("panel", error)

    def _hear(self, content: Mapping[str, object]) -> dict[str, object] | None:
        """Answer what a page asks for; called in the thread that hears. What was meant for other work is dropped.

        Where the kernel hears the page only between cells, a message arrives when its work is over: it must do nothing then.
        """
        state, word = self.state, content.get("ask")
        stale = state.phase != "running" or content.get("started") != state.started
        if self._ask is None or stale or word not in ("stop", "commit"):
            return None
        return {"id": content.get("id"), "said": self._ask(str(word))}

    def freeze(self) -> None:
        """Replace what was drawn last by its static form; nothing where nothing is shown. Safe to call twice."""
        self._bus.flush()
        self._end(True)

    def close(self) -> None:
        """Freeze, and listen no more."""
        self.freeze()
        self.model.close()

    def _end(self, draw: bool) -> None:
        ticker, self._ticker = self._ticker, None
        if ticker is not None:
            self._workers.stop_one(ticker)
        with self._drawing:
            surface, self._surface = self._surface, None
        if surface is None or not draw:
            return
        try:
            surface.freeze(self.view())
        except Exception as error:  # a drawing never fails the work that it shows
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        self._bus.post(ListenerFailed(who="panel", error=f"{type(error).__name__}: {error}"))
