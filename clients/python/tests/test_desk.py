"""The client against a real desk, and against what is wrong."""

from pathlib import Path
from typing import Callable

import pytest

from tabard_test import Desk, DeskEnded, DeskRefused, ScriptFault, StepFailed, quote

DESK = "../examples/desk.toml"


def test_steps_answer_and_leave_their_marks(tabard_desk: Callable[..., Desk]) -> None:
    desk = tabard_desk(DESK, variables={"WHO": "some body"})
    assert [guest.name for guest in desk.guests] == ["web", "plans"]
    desk.wait_for_serial("web", '"ready"', within="1m")
    result = desk.play('mark\necho "${WHO}"')
    assert result.said == ("some body",)
    assert [step.fate for step in result.steps] == ["passed", "passed"]
    desk.expect("no-serial web ready")
    desk.key("A")
    desk.wait_for_serial("web", '"code":30,"value":0')
    desk.click(20, 20, "web", "right")
    desk.wait_for_serial("web", '"code":273')
    assert '"ready"' in desk.serial("web")


def test_a_failure_says_why_and_the_desk_goes_on(tabard_desk: Callable[..., Desk]) -> None:
    desk = tabard_desk(DESK)
    with pytest.raises(StepFailed) as failed:
        desk.play("mark\nexpect locked\nmark")
    assert failed.value.text == "expect locked"
    assert failed.value.cause == "The screen is not locked"
    assert "fail-2-actual.png" in failed.value.details
    with pytest.raises(ScriptFault, match="There is no command"):
        desk.play("bogus")
    desk.wait_for("focus web")


def test_a_desk_that_has_ended_says_so(tabard_desk: Callable[..., Desk]) -> None:
    desk = tabard_desk(DESK)
    assert desk.close() == 0
    with pytest.raises(DeskEnded):
        desk.sak()


def test_what_cannot_be_started_says_why(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    program = pytestconfig.getoption("--tabard")
    with pytest.raises(DeskRefused, match="no-such.toml"):
        Desk(tmp_path / "no-such.toml", out=tmp_path, program=program)
    with pytest.raises(DeskRefused, match="TABARD"):
        Desk(tmp_path / "desk.toml", program=tmp_path / "no-such-program")


@pytest.mark.parametrize(
    ("text", "quoted"),
    [("a b", '"a b"'), ('"\\', '"\\"\\\\"'), ("\n\t", '"\\n\\t"'), ("${A}", '"$${A}"')],
)
def test_texts_are_quoted(text: str, quoted: str) -> None:
    assert quote(text) == quoted
