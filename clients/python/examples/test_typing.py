"""What is typed reaches the guest that the glass names, and no other.

Run it by ``pytest --tabard PROGRAM`` with the package installed, or with
``PYTHONPATH=.. pytest -p tabard_test.plugin`` in this folder.
"""

import pytest

from tabard_test import Desk


@pytest.mark.desk("desk.toml", size="1280x800")
def test_text_reaches_the_guest_that_the_glass_names(desk: Desk) -> None:
    for guest in ("web", "plans"):
        desk.wait_for_serial(guest, '"ready"', within="1m")
    desk.switch("web")
    desk.wait_for_stable()
    desk.mark()
    desk.type("hello")
    desk.wait_for_serial("web", '"code":24,"value":0')
    desk.expect("no-event plans")
    desk.expect('banner web "UNCLASSIFIED"')
    assert desk.shot("typed.png").exists()
