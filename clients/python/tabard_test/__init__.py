"""Tests of a desk of virtual machines, played by ``tabard test --serve``.

>>> from tabard_test import Desk
>>> with Desk("typing.toml") as desk:
...     desk.switch("web")
...     desk.mark()
...     desk.type("hello")
...     desk.wait_for_serial("web", '"code":24')
...     desk.expect("no-event plans")

The standard library is all that it needs. What each step means is said in ``docs/scripts.md``.
"""

from .desk import Desk, Guest
from .errors import DeskEnded, DeskRefused, ScriptFault, StepFailed, TabardError
from .language import quote
from .result import Result, Step

__all__ = [
    "Desk",
    "DeskEnded",
    "DeskRefused",
    "Guest",
    "Result",
    "ScriptFault",
    "Step",
    "StepFailed",
    "TabardError",
    "quote",
]
