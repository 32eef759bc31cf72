"""What became of steps: the answers of the server, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Tuple


@dataclass(frozen=True)
class Step:
    """One step that was played, or left out because it is for another engine or host."""

    line: int
    """Its line in the request, from 1."""
    text: str
    """As it was written."""
    fate: str
    """``passed``, ``failed`` or ``skipped``."""
    seconds: float
    """How long it took."""
    section: str = ""
    """The section that it is in."""
    cause: str = ""
    """Why it failed or was left out, in a sentence."""
    details: str = ""
    """What a failure left behind."""

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Step:
        """Reads the form of ``docs/scripts.md``."""
        return cls(
            line=int(value["line"]),
            text=str(value["text"]),
            fate=str(value["fate"]),
            seconds=float(value["seconds"]),
            section=str(value.get("section", "")),
            cause=str(value.get("cause", "")),
            details=str(value.get("details", "")),
        )


@dataclass(frozen=True)
class Result:
    """What became of a request that could be played."""

    steps: Tuple[Step, ...]
    """Each step up to the first that failed."""
    said: Tuple[str, ...]
    """Lines of ``echo``, and which needle it was."""
