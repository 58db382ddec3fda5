"""A job whose input is a URL: fetched into storage, then as any other."""

from collections.abc import Iterator

import pytest

from pipeline.lifecycle import JobStatus
from tests.support.receiver import Receiver, receiving
from tests.support.recordings import short
from tests.workers.conftest import Office
from workers.advance import advance
from workers.fetch import filename


@pytest.fixture
def site() -> Iterator[Receiver]:
    with receiving() as made:
        made.files = {"/talk%20one.wav": short(1).wav, "/empty.wav": b""}
        yield made


def fetched(office: Office, url: str, **headers: str) -> str:
    job_id = office.create(source={"url": url, "headers": headers}, input={"type": "url"})
    advance(office.desk("io"), job_id)
    return job_id


@pytest.mark.processes
def test_a_url_is_fetched_with_its_headers_and_forgotten(office: Office, site: Receiver) -> None:
    job_id = fetched(office, f"{site.url}/talk%20one.wav?token=abc", Authorization="Bearer secret")
    job = office.job(job_id)
    assert site.got[0][0]["authorization"] == "Bearer secret"
    assert job.source is None
    assert job.input["filename"] == "talk one.wav"
    assert job.input["bytes"] == len(short(1).wav)
    assert "token" not in str(job.input)
    assert job.media_id
    assert office.services.media.get(office.account, job.media_id).state == "stored"
    assert office.bells.rung == [("cpu", job_id)]
    advance(office.desk("cpu"), job_id)
    assert office.text(job_id).split() == list(short(1).words)
    assert office.job(job_id).lost == 0


@pytest.mark.parametrize(("path", "code"), [("/missing.wav", "download_failed"), ("/empty.wav", "empty_media")])
def test_what_cannot_be_fetched_is_told(office: Office, site: Receiver, path: str, code: str) -> None:
    job = office.job(fetched(office, site.url + path))
    assert job.status == JobStatus.FAILED
    assert job.error
    assert (job.error["code"], job.error["stage"]) == (code, "fetching")
    assert not office.stored("media")


def test_a_site_that_is_down_is_asked_again(office: Office, site: Receiver) -> None:
    job_id = fetched(office, "http://127.0.0.1:9/talk.wav")
    assert (office.job(job_id).status, office.job(job_id).failures) == (JobStatus.QUEUED, 1)
    assert not office.stored("media")


def test_where_we_may_not_go(office: Office) -> None:
    job = office.job(fetched(office, "http://169.254.169.254/latest/meta-data"))
    assert job.error
    assert job.error["code"] == "outbound_refused"


def test_what_is_too_large_leaves_nothing(office: Office, site: Receiver) -> None:
    settings = office.services.settings
    office.services.settings = settings.model_copy(update={"max_upload_bytes": 1000})
    job = office.job(fetched(office, f"{site.url}/talk%20one.wav"))
    assert job.error
    assert job.error["code"] == "file_too_large"
    assert not office.stored("media")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://x.org/a/b.mp3?sig=1", "b.mp3"),
        ("https://x.org/", None),
        ("https://x.org", None),
        ("https://x.org/a%2Fb%00.mp3", "b.mp3"),
    ],
)
def test_names_from_urls(url: str, name: str | None) -> None:
    assert filename(url) == name
