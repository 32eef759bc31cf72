"""The pytest plugin: fixtures that give a test a desk, and end it after the test.

Options: ``--tabard PROGRAM``, ``--tabard-engine kvm|qemu|auto``, ``--tabard-out FOLDER``. The marker
``@pytest.mark.desk("typing.toml", size="1280x800")`` says which desk the fixture ``desk`` is; its path
starts from the folder of the test.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Callable, Iterator, List

import pytest

from .desk import Desk

DeskFactory = Callable[..., Desk]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options."""
    group = parser.getgroup("tabard")
    group.addoption("--tabard", metavar="PROGRAM", help="the tabard to run desks with")
    group.addoption("--tabard-engine", metavar="ENGINE", help="kvm, qemu or auto for every guest")
    group.addoption(
        "--tabard-out",
        metavar="FOLDER",
        default="tabard-test",
        help="pictures and logs of each test go below this folder",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Makes the marker known."""
    config.addinivalue_line("markers", "desk(file, **options): the desk of the fixture desk")


@pytest.fixture
def tabard_desk(request: pytest.FixtureRequest) -> Iterator[DeskFactory]:
    """Starts desks: ``tabard_desk("typing.toml", size="800x600")``. They end with the test."""
    config = request.config
    running: List[Desk] = []
    folder = Path(str(request.node.path)).parent
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", request.node.name)

    def start(desk: str, **options: Any) -> Desk:
        out = Path(config.getoption("--tabard-out")) / name
        if running:
            out = out / str(len(running) + 1)
        options.setdefault("out", out)
        options.setdefault("program", config.getoption("--tabard"))
        options.setdefault("engine", config.getoption("--tabard-engine"))
        running.append(Desk(folder / desk, **options))
        return running[-1]

    yield start
    for desk in running:
        desk.close()


@pytest.fixture
def desk(request: pytest.FixtureRequest, tabard_desk: DeskFactory) -> Desk:
    """The desk that the marker ``desk`` names."""
    marker = request.node.get_closest_marker("desk")
    if marker is None or not marker.args:
        pytest.fail('Say which desk: @pytest.mark.desk("typing.toml")', pytrace=False)
    return tabard_desk(*marker.args, **marker.kwargs)
