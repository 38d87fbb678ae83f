"""What every screen shares: the bar at the top, the footer, the guide's line, and how the open project is shown."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.geometry import Size
from textual.screen import Screen
from textual.widgets import Static

from phi_tui.child import Child, Reply
from phi_tui.safe_text import clean
from phi_tui.widgets.guide_bar import GuideBar
from phi_tui.widgets.key_line import KeyLine
from phi_tui.widgets.messages import Found, Replied
from phi_tui.widgets.nav_bar import NavBar

if TYPE_CHECKING:
    from phi_tui.app import PhiApp
    from phi_tui.schema import Project


_STYLES = Path(__file__).parent.parent / "styles"


class Frame(Screen[None]):
    """A screen with a name; `body` is what is its own."""

    NAME: ClassVar[str] = ""
    """The screen's name in the bar."""
    HELP: ClassVar[str] = ""
    """Markdown that F1 shows: what the screen is for and how to go about it."""
    def __init_subclass__(cls, **more: Any) -> None:
        """Each screen brings its own style sheet, read when the screen is first shown: parsing all takes 0.1 s."""
        if cls.__dict__.get("NAME"):
            cls.CSS_PATH = _STYLES / f"{cls.NAME}.tcss"
        super().__init_subclass__(**more)

    HORIZONTAL_BREAKPOINTS = [(0, "narrow"), (100, "wide"), (160, "very-wide")]
    VERTICAL_BREAKPOINTS = [(0, "short"), (32, "tall")]

    BINDINGS = [
        Binding("escape", "leave", "Leave the field", show=False, id="screen.leave", tooltip="Give the jump keys back"),
    ]

    composed = False
    """Whether the screen's widgets are there."""

    def fit(self, size: Size) -> None:
        """Take the classes of the app's size before the first layout; the library gives them after it, as a second."""
        for cells, steps in ((size.width, self.HORIZONTAL_BREAKPOINTS), (size.height, self.VERTICAL_BREAKPOINTS)):
            self.add_class(max((at, name) for at, name in steps if at <= cells)[1], update=False)

    def on_mount(self) -> None:
        """The widgets are there."""
        self.composed = True

    def compose(self) -> ComposeResult:
        """Bar, guide, body, footer."""
        yield NavBar()
        yield GuideBar()
        with Vertical(id="body"):
            yield from self.body()
        yield KeyLine()

    def body(self) -> ComposeResult:
        """The screen's own widgets."""
        yield Static("")

    def show_project(self, project: Project | None) -> None:
        """Show the open project; called whenever the screen comes up and whenever the project changed."""

    def runs_seen(self) -> None:
        """The list of runs was read again: `self.phi.glances`."""

    @property
    def phi(self) -> PhiApp:
        """The app, typed."""
        return cast("PhiApp", self.app)

    def on_screen_resume(self) -> None:
        """Bring the bar, the guide and the project up to date."""
        bar = self.query_one(NavBar)
        bar.active = self.NAME
        self.refresh_bar()
        self.query_one(GuideBar).show(self.NAME, self.phi.guiding)
        self.show_project(self.phi.session.project)

    def refresh_bar(self) -> None:
        """Show the project's name and the number of live runs."""
        for bar in self.query(NavBar):
            bar.project = self.phi.session.project.name if self.phi.session.project else ""
            bar.live = self.phi.live

    def ask(self, child: Child, do: str, tag: str, **arguments: Any) -> int:
        """Ask a child process; its replies come to this screen as `Replied(tag, reply)` messages."""

        def pass_on(reply: Reply) -> None:
            self.post_message(Replied(tag, reply))

        return child.ask(do, pass_on, **arguments)

    def find_out(self, what: str, work: Callable[[], Any]) -> None:
        """Do `work` on a thread; its result, or the exception, comes to this screen as `Found(what, result)`."""

        def run() -> None:
            try:
                result: Any = work()
            except Exception as error:
                result = error
            self.post_message(Found(what, result))

        threading.Thread(target=run, name=f"{self.NAME}: {what}", daemon=True).start()

    def action_leave(self) -> None:
        """Take the focus from a field, so that the jump keys work."""
        self.set_focus(None)

    def say(self, text: object, *, severity: str = "information", title: str = "") -> None:
        """Show a short notice; foreign text is made safe."""
        self.phi.say(text, severity=severity, title=clean(title))
