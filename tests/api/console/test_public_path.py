"""The console and the reference behind a proxy that serves them below a path: `https://example.org/speech/console`."""

import html
import re
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from api.console import pages
from api.main import create_app
from infra.wiring import Services
from tests.api.conftest import ADMIN_KEY, House, services_under
from tests.api.console.conftest import Browser
from tests.support.path_proxy import PathProxy

SITE = "http://testserver"
PATH = "/speech"
ADDRESSES = re.compile(r'\s(?:href|src|action|hx-get|hx-post|data-at)="([^"#]+)"')
POSTED = re.compile(r'<form method="post" action="([^"]+)"')
OURS = re.compile(r"""(?<!\})(?<!root\})["'`=](/(?:console|v1|docs|openapi))""")  # as a browser would ask for it


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with services_under(SITE + PATH, tmp_path_factory.mktemp("home")) as opened:
        yield opened


@pytest.fixture(params=["taken away", "left"])
def browser(services: Services, house: House, request: pytest.FixtureRequest) -> Iterator[Browser]:
    """Signed in with a key and as the administrator; nothing can be had but below the path."""
    app = create_app(services)
    proxied = PathProxy(app, PATH) if request.param == "taken away" else app
    with TestClient(proxied, base_url=SITE + PATH) as client:
        made = Browser(client)
        for key in (ADMIN_KEY, house.key):
            answer = made.sign_in(key)
            assert answer.status_code == 303, answer.text
        assert answer.headers["location"] == f"{PATH}/console/new"
        yield made


def addresses(page: str) -> set[str]:
    return {html.unescape(found) for found in ADDRESSES.findall(page)}


def test_every_address_of_every_page_is_below_the_path_and_is_there(browser: Browser, house: House) -> None:
    job = house.submit()["id"]
    hook = {"name": "mine", "url": "http://127.0.0.1:9/", "event_types": ["webhook.test"]}
    endpoint = house.post("/v1/webhook_endpoints", json=hook).json()["id"]
    names = [
        "new",
        "jobs",
        "jobs/rows",
        "models",
        "models/oracle-priced",
        "usage",
        "keys",
        "webhooks",
        "operator",
        "sign-in",
    ]
    found, posted = set[str](), set[str]()
    for name in [*names, f"jobs/{job}", f"webhooks/{endpoint}"]:
        answer = browser.get(f"/{name}")
        assert answer.status_code == 200, name
        found |= addresses(answer.text)
        posted |= set(POSTED.findall(answer.text))
    found |= addresses(browser.client.get("/docs").text)
    outside = {one for one in found if not one.startswith(f"{PATH}/") and not one.startswith("data:")}
    assert outside == set()
    assert len(found) > 40
    told = {one: browser.client.get(f"{SITE}{one}", follow_redirects=False).status_code for one in found - posted}
    assert {one for one, status in told.items() if status not in (200, 303)} <= {
        f"{PATH}/console/v1/audio/jobs/{job}/audio"
    }


def test_forms_lead_on_and_the_cookie_is_of_this_path_alone(browser: Browser) -> None:
    (cookie,) = browser.client.cookies.jar
    assert cookie.path == f"{PATH}/console"
    assert browser.post("/sample").headers["location"].startswith(f"{PATH}/console/jobs/job_")
    assert f'data-at="{PATH}/console/keys"' in browser.post("/keys", {"name": "one"}).text
    assert browser.post("/sign-out").headers["location"] == f"{PATH}/console/sign-in"
    sent_away = browser.get("/jobs").headers["location"]
    assert sent_away.startswith(f"{PATH}/console/sign-in?why=")
    part = browser.get("/jobs/rows", headers={"hx-request": "true"})
    assert part.headers["hx-redirect"].startswith(f"{PATH}/console/sign-in?why=")


@pytest.mark.parametrize("target", ["/console/usage", "/speech/console/usage"])
def test_one_comes_back_to_where_one_was(browser: Browser, house: House, target: str) -> None:
    assert browser.sign_in(house.key, next=target).headers["location"] == f"{PATH}/console/usage"


def test_the_roots_lead_to_the_reference(browser: Browser) -> None:
    for path in ("/", "/redoc"):
        assert browser.client.get(path).url == f"{SITE}{PATH}/docs"
    assert browser.client.get("/openapi.json").json()["servers"] == [{"url": SITE + PATH}]


def test_no_template_and_no_script_has_an_address_without_what_stands_before_it() -> None:
    read = [path for path in pages.HERE.rglob("*") if path.suffix in (".html", ".js") and "vendor" not in path.parts]
    found = [(path.name, at[1]) for path in read for at in OURS.finditer(path.read_text("utf-8"))]
    assert found == [("model.js", "/v1")], "of the API's own path alone, which a sample is made of"
    assert len(read) > 30
