"""`python -m tests.web.screenshots`: the pictures in docs/, taken from the app with invented data.

Run it in the environment that `python3 -m dev test` has made; it starts and ends everything itself.
"""

import json
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

from dev.folders import CLONE, cache_folder
from dev.local_settings import environ_for, for_local_world
from dev.services.azurite import Azurite
from dev.services.host import HostProcess
from dev.services.postgres import Postgres
from dev.services.processes import Supervisor
from dev.services.simulator import SimulatorProcess
from dev.simulator import connect
from dev.system_programs import chromium
from tests.web.conftest import API, DESKTOP, FLAGS, PHONE, Served, sign_in

FOLDER = CLONE / "docs"
MOST_BYTES = 300_000
LOADING = re.compile("Loading…|Yükleniyor…")


@contextmanager
def world() -> Iterator[Served]:
    """The app with referrals, a history, a deal won early and an entry in quarantine."""
    from pc_core.store.migrate import upgrade

    parent = cache_folder() / "screenshots"
    parent.mkdir(mode=0o755, exist_ok=True)
    with Supervisor() as supervisor, tempfile.TemporaryDirectory(dir=parent) as made:
        folder = Path(made)
        folder.chmod(0o755)
        storage = Azurite.start(supervisor, folder / "azurite", in_memory=True).connection_string
        database_url = Postgres.start(supervisor, folder / "postgres").create_database("pictures")
        upgrade(database_url)
        simulator = SimulatorProcess.start(
            supervisor, folder / "simulator", arguments=("--auto-approve-after-s", "0")
        )
        values = for_local_world(
            folder, database_url=database_url, storage=storage, simulator=simulator
        )
        values["HUNTER_PARTNER_CENTER_PAGE_DELAY"] = "0s"
        host = HostProcess.start(
            supervisor,
            folder / "host",
            app=CLONE,
            settings=values,
            environ=environ_for(values, CLONE, live=False),
        )
        served = Served(
            url=host.url,
            key=values["HUNTER_API_KEY"],
            simulator=connect(simulator.url, simulator.ca_file),
            database_url=database_url,
            settings=values,
        )
        sign_in(served)
        _live_a_little(served)
        yield served


def _live_a_little(served: Served) -> None:
    def sync() -> None:
        status, _, run = served.ask(f"{API}/referrals/sync", method="POST")
        assert status == 200, run

    sync()
    state = served.simulator.state
    _, _, listed = served.ask(f"{API}/referrals?type=co-sell&status=Active&sort=created:desc")
    young = listed["referrals"][0]["referral_id"]
    state.close(young, "Won")
    state.change(young, closedDateTime=state.get(young)["createdDateTime"])
    for number in range(14):
        state.change_some(3 + number % 5)
        if number % 3 == 0:
            state.add()
        sync()


def open_page(
    browser: Browser,
    served: Served,
    path: str,
    *,
    theme: str = "light",
    language: str = "en-GB",
    size: dict[str, int] = DESKTOP,
) -> Page:
    """The page as an operator sees it."""
    how: dict[str, Any] = {"viewport": size, "locale": language, "color_scheme": theme}
    context = browser.new_context(**how)
    context.add_init_script(
        f"sessionStorage.setItem('partner-center-api-key', {json.dumps(served.key)})"
    )
    page = context.new_page()
    page.goto(f"{served.url}/mini-ui/{path}")
    expect(page.locator("#tabs")).to_be_visible()
    page.wait_for_load_state("networkidle")
    expect(page.get_by_text(LOADING)).to_have_count(0)
    return page


def main() -> int:
    """Take them all; returns the exit code."""
    program = chromium()
    if program is None:
        print("Chromium is not installed: apt-get install chromium", file=sys.stderr)  # noqa: T201
        return 1
    FOLDER.mkdir(exist_ok=True)
    with world() as served, sync_playwright() as playwright:
        _, _, listed = served.ask(f"{API}/referrals?type=co-sell&status=Active&limit=200")
        shown = next(row for row in listed["referrals"] if row["deal_value"] and row["domain"])
        one = f"?referral={shown['referral_id']}"
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        pictures: dict[str, dict[str, Any]] = {
            "page-light": {"path": ""},
            "page-dark": {"path": "", "theme": "dark", "language": "tr-TR"},
            "page-phone": {"path": "", "size": PHONE},
            "companies": {"path": "?view=companies&several=1"},
            "companies-phone": {"path": "?view=companies", "size": PHONE, "language": "tr-TR"},
            "detail": {"path": one},
            "attention-light": {"path": "?view=attention"},
            "attention-phone": {"path": "?view=attention", "size": PHONE, "theme": "dark"},
            "health-light": {"path": "?view=health", "size": {"width": 1440, "height": 1300}},
            "health-dark": {
                "path": "?view=health",
                "size": {"width": 1440, "height": 1300},
                "theme": "dark",
                "language": "tr-TR",
            },
        }
        for name, how in pictures.items():
            page = open_page(browser, served, **how)
            picture = FOLDER / f"{name}.png"
            page.screenshot(path=picture, animations="disabled")
            page.context.close()
            size = picture.stat().st_size
            print(f"{picture.relative_to(CLONE)}  {size // 1000} kB")  # noqa: T201
            assert size < MOST_BYTES, f"{name} is larger than {MOST_BYTES} bytes"
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
