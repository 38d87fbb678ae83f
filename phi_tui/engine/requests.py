"""What a person asks of a training that runs: stop, save now, speak now; by a signal, the app or another terminal."""

from __future__ import annotations

from collections.abc import Callable

from phi_tui.engine.ranks import Ranks
from phi_tui.run import Run


class Requests:
    """Reads a run's control folder; what was asked is remembered until it is done."""

    def __init__(self, run: Run, ranks: Ranks, say: Callable[..., None], stopping: Callable[[], bool]) -> None:
        self._run, self._ranks, self._say, self._stopping = run, ranks, say, stopping
        self._seen = self._saving = self._sampling = False
        self.quitting = False
        """Whether the stop is to leave no checkpoint."""

    def stop_asked(self) -> bool:
        """Whether a signal, the app or another terminal asks for a stop; a request to save is remembered."""
        requests = self._run.take_requests()
        for request in sorted(requests):
            self._say("control", request=request)
        self._saving = self._saving or "save" in requests
        self._sampling = self._sampling or "sample" in requests
        self._seen = self._seen or bool(requests & {"stop", "quit"}) or self._stopping()
        self.quitting = self.quitting or "quit" in requests
        return self._seen

    def stop_agreed(self) -> bool:
        """The same for all processes: what the first one was asked for; called at the end of each step."""
        if self._ranks.count == 1:
            return self.stop_asked()
        asked = (self.stop_asked(), self._saving, self._sampling, self.quitting) if self._ranks.first else (False,) * 4
        self._seen, self._saving, self._sampling, self.quitting = self._ranks.agree(asked)
        return self._seen

    def save_asked(self) -> bool:
        """Whether a checkpoint is asked for now; asks once."""
        asked, self._saving = self._saving, False
        return asked

    def sample_asked(self) -> bool:
        """Whether the model is asked to speak now; asks once."""
        asked, self._sampling = self._sampling, False
        return asked
