"""What an engine counts besides its answers: slips of the model that were mended, dropped or found out.

Engines run on an event loop in a thread of its own, where Beam's counters are lost; whoever runs them takes the counts
over from time to time.
"""

from __future__ import annotations

import threading
from collections import Counter


class Tally:
    """Counts by name. Thread-safe; pickled empty."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def add(self, name: str, by: int = 1) -> None:
        """Count `by` more of `name`; 0 leaves no trace."""
        if by:
            with self._lock:
                self._counts[name] += by

    def take(self) -> dict[str, int]:
        """The counts since the last call; they start again at nothing."""
        with self._lock:
            counts, self._counts = dict(self._counts), Counter()
        return counts

    def __reduce__(self) -> tuple[type[Tally], tuple[()]]:
        return Tally, ()
