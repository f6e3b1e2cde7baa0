"""Stops of a run at places that do not depend on the clock."""

from __future__ import annotations

import nnft


class StopAfter(nnft.StopFlag):
    """Asks for a stop when it was looked at a number of times."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.looks = looks

    @property
    def stopping(self) -> bool:
        """Whether the number is used up."""
        self.looks -= 1
        return self.looks < 0 or super().stopping
