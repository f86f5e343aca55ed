"""The lesson as a reader does it: press a way to end a connection, and read what both ends saw."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.jupyterlab import PATIENCE, ROOT, LabPage
from tests.browser.test_notebooks import assert_quiet

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_reader_ends_connections_by_buttons(open_notebook: Callable[..., LabPage], dark: bool) -> None:
    """Two presses, two deaths with the same code and different words; both ends are shown."""
    lab = open_notebook(ROOT / "notebooks" / "01_how_a_websocket_dies.ipynb", size=(1440, 1100), dark=dark)
    lab.run_all()
    page = lab.page
    fin = page.get_by_role("button", name="server: FIN")
    fin.wait_for(timeout=PATIENCE)
    lab.wait_idle()
    fin.scroll_into_view_if_needed()
    fin.click()
    table = page.locator(".widget-html table", has_text="you chose")
    table.locator("tr", has_text="server: FIN").wait_for(timeout=PATIENCE)
    # By keyboard: the next way is one press of Tab away.
    page.wait_for_function(
        "() => [...document.querySelectorAll('button')].every(b => b.textContent !== 'server: RST' || !b.disabled)"
    )
    page.get_by_role("button", name="server: RST").focus()
    page.keyboard.press("Enter")
    table.locator("tr", has_text="server: RST").wait_for(timeout=PATIENCE)
    rows = table.locator("tbody tr").all_inner_texts()
    assert [row.split()[0] for row in rows] == ["1006", "1006"]
    assert "RST by server" in rows[1]
    assert page.get_by_text("What the server saw").count() >= 2
    table.scroll_into_view_if_needed()
    assert_quiet(lab)
