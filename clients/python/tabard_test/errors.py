"""What can go wrong. Each says what happened, why, and what shows it."""

from __future__ import annotations

from typing import Sequence


class TabardError(Exception):
    """Any of these."""


class DeskRefused(TabardError):
    """The desk, the program or the host are not in order: nothing was started."""


class DeskEnded(TabardError):
    """The desk has ended, or the program that ran it."""


class ScriptFault(TabardError):
    """Something is wrong with the steps: none of them was played."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


class StepFailed(AssertionError, TabardError):
    """A step failed, and those after it were not played."""

    def __init__(self, text: str, cause: str, details: str) -> None:
        message = f"{text} failed: {cause}"
        super().__init__(f"{message}\n{details.rstrip()}" if details else message)
        self.text = text
        """The step, as it was written."""
        self.cause = cause
        """Why it failed, in a sentence."""
        self.details = details
        """The pictures that show it, and the last lines that guests printed."""
