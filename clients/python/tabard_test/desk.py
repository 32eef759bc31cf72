"""A desk that runs, and the steps that it is sent."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Dict, List, Mapping, Optional, Sequence, Tuple, Type, Union

from .errors import DeskEnded, DeskRefused, ScriptFault, StepFailed
from .language import quote
from .result import Result, Step

PathLike = Union[str, "os.PathLike[str]"]

_VERSION = 1
_PROGRAM = "TABARD"
# Of what the program says to a person, so much of the end is kept for messages.
_KEPT_LINES = 40


@dataclass(frozen=True)
class Guest:
    """A guest of the desk."""

    name: str
    """As the desk file has it."""
    engine: Optional[str]
    """What runs its instructions: ``kvm`` or ``qemu``; None if it is not started."""


class Desk:
    """Runs a desk without a screen until it is closed. Use it in a ``with`` statement.

    :param desk: the desk file.
    :param out: the folder for pictures, with serial logs in ``logs`` below it.
    :param size: one screen of this size and scale, such as ``1280x800`` or ``2560x1600@2``.
    :param engine: ``kvm``, ``qemu`` or ``auto`` for every guest, whatever the desk says.
    :param variables: values for ``${NAME}`` in steps.
    :param program: the ``tabard`` to run; that of the variable ``TABARD`` or the one on the path if not
        given.
    :raises DeskRefused: if it cannot be started; the message is the program's.
    """

    def __init__(
        self,
        desk: PathLike,
        *,
        out: PathLike = "tabard-test",
        size: Optional[str] = None,
        engine: Optional[str] = None,
        variables: Optional[Mapping[str, str]] = None,
        program: Optional[PathLike] = None,
    ) -> None:
        self.out = Path(out)
        command: List[str] = [os.fspath(program or os.environ.get(_PROGRAM) or "tabard")]
        command += ["test", "--serve", "--desk", os.fspath(desk), "--out", os.fspath(out)]
        if size is not None:
            command += ["--size", size]
        if engine is not None:
            command += ["--engine", engine]
        for name, value in (variables or {}).items():
            command += ["--set", f"{name}={value}"]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
            )
        except OSError as error:
            raise DeskRefused(
                f"Cannot start {command[0]}: {error}. Name the program by {_PROGRAM}"
            ) from error
        self._requests = 0
        self._said: List[str] = []
        # What the program says to a person must not fill its pipe.
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self.guests: Tuple[Guest, ...] = ()
        try:
            ready = self._answer()
            if ready.get("version") != _VERSION:
                raise DeskRefused(
                    f"The program speaks version {ready.get('version')} and not {_VERSION}. "
                    "Take a client and a tabard of one release"
                )
            guests: Sequence[Mapping[str, Any]] = ready["guests"]
            self.guests = tuple(Guest(str(one["name"]), one["engine"]) for one in guests)
        except DeskEnded as error:
            raise DeskRefused(str(error)) from error
        except BaseException:
            self._process.kill()
            self.close()
            raise

    def play(self, steps: str) -> Result:
        """Plays one line of the language, or several, until one fails.

        ``mark`` and the chosen ``screen`` hold for later calls.

        :raises ScriptFault: if something is wrong with the steps; nothing was played.
        :raises StepFailed: if a step failed.
        :raises DeskEnded: if there is no desk to play on any more.
        """
        self._requests += 1
        request = {"id": self._requests, "step": steps}
        stream = _pipe(self._process.stdin)
        try:
            stream.write(json.dumps(request) + "\n")
            stream.flush()
        except (OSError, ValueError) as error:
            raise DeskEnded(self._why()) from error
        answer = self._answer()
        if answer["fate"] == "fault":
            raise ScriptFault([str(fault) for fault in answer["faults"]])
        played = tuple(Step.of(step) for step in answer["steps"])
        for step in played:
            if step.fate == "failed":
                raise StepFailed(step.text, step.cause, step.details)
        return Result(played, tuple(str(line) for line in answer["said"]))

    def sak(self) -> None:
        """Presses the secure-attention key, and waits for the trusted screen."""
        self.play("sak")

    def switch(self, guest: str) -> None:
        """Goes to a guest; ends when the glass names it."""
        self.play(f"switch {quote(guest)}")

    def mark(self) -> None:
        """What guests print from here on is what ``serial`` and ``no-event`` look at."""
        self.play("mark")

    def type(self, text: str) -> None:
        """Types a text as on a US keyboard."""
        self.play(f"type {quote(text)}")

    def key(self, chord: str) -> None:
        """Presses and releases a key, such as ``Ctrl+C``."""
        self.play(f"key {quote(chord)}")

    def click(self, x: int, y: int, guest: Optional[str] = None, button: str = "left") -> None:
        """Clicks at a place of the screen, or of a guest's own picture."""
        at = f"at {quote(guest)} " if guest is not None else ""
        self.play(f"click {at}{x} {y} {button}")

    def click_needle(self, name: str, guest: Optional[str] = None, button: str = "left") -> None:
        """Waits for a needle, and clicks on it."""
        of = f" of {quote(guest)}" if guest is not None else ""
        self.play(f"click needle {quote(name)}{of} {button}")

    def wait_for(self, condition: str, within: Optional[str] = None) -> Result:
        """Waits for a condition as the language writes it, such as ``focus web``."""
        limit = f" within {within}" if within is not None else ""
        return self.play(f"wait-for {condition}{limit}")

    def wait_for_serial(self, guest: str, text: str, within: Optional[str] = None) -> None:
        """Waits until a guest has printed this since the last mark."""
        self.wait_for(f"serial {quote(guest)} {quote(text)}", within)

    def wait_for_stable(self, guest: Optional[str] = None, within: Optional[str] = None) -> None:
        """Waits until the picture of a guest, or of the screen, is at rest."""
        self.wait_for("stable" if guest is None else f"stable {quote(guest)}", within)

    def expect(self, condition: str) -> Result:
        """Fails unless a condition holds at this moment."""
        return self.play(f"expect {condition}")

    def shot(self, name: str, guest: Optional[str] = None) -> Path:
        """Writes a picture of the screen, or of a guest, below ``out``; says where."""
        of = "" if guest is None else f" {quote(guest)}"
        self.play(f"shot {quote(name)}{of}")
        return self.out / name

    def serial(self, guest: str) -> str:
        """All that a guest has printed on its first serial port."""
        log = self.out / "logs" / f"{guest}.serial"
        return log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""

    def close(self) -> int:
        """Ends the desk and every guest; the status of the program."""
        stream = _pipe(self._process.stdin)
        try:
            if not stream.closed:
                stream.write('{"end": true}\n')
                stream.close()
        except OSError:
            # It has ended already, and its status says how.
            pass
        status = self._process.wait()
        self._listener.join()
        for pipe in (self._process.stdout, self._process.stderr):
            _pipe(pipe).close()
        return status

    def __enter__(self) -> Desk:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def _answer(self) -> Dict[str, Any]:
        line = _pipe(self._process.stdout).readline()
        if not line:
            raise DeskEnded(self._why())
        answer: Dict[str, Any] = json.loads(line)
        return answer

    def _why(self) -> str:
        status = self._process.wait()
        self._listener.join()
        said = "\n".join(self._said).strip()
        return said or f"tabard ended with status {status} and said nothing"

    def _listen(self) -> None:
        for line in _pipe(self._process.stderr):
            self._said.append(line.rstrip("\n"))
            del self._said[:-_KEPT_LINES]


def _pipe(pipe: Optional[IO[str]]) -> IO[str]:
    assert pipe is not None, "all three were asked for"
    return pipe
