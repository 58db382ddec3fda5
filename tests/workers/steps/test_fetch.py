"""A job whose input is a URL: fetched into storage, then as any other."""

from collections.abc import Iterator

import pytest

from pipeline.audio.first_look import FirstLook
from pipeline.lifecycle import JobStatus
from tests.support.receiver import Receiver, receiving
from tests.support.recordings import short
from tests.workers.conftest import WorkerHarness
from workers.steps.fetch import filename


@pytest.fixture
def site() -> Iterator[Receiver]:
    with receiving() as made:
        made.files = {"/talk%20one.wav": short(1).wav, "/empty.wav": b""}
        yield made


def fetched(harness: WorkerHarness, url: str, **headers: str) -> str:
    job_id = harness.create(source={"url": url, "headers": headers}, input={"type": "url"}, queue="io")
    harness.work("io", most=1)
    return job_id


@pytest.mark.processes
def test_a_url_is_fetched_with_its_headers_and_forgotten(harness: WorkerHarness, site: Receiver) -> None:
    job_id = fetched(harness, f"{site.url}/talk%20one.wav?token=abc", Authorization="Bearer secret")
    job = harness.job(job_id)
    assert site.got[0][0]["authorization"] == "Bearer secret"
    assert job.source is None
    assert job.input["filename"] == "talk one.wav"
    assert job.input["bytes"] == len(short(1).wav)
    assert "token" not in str(job.input)
    assert job.media_id
    assert harness.services.media.get(harness.account, job.media_id).state == "stored"
    assert harness.messages.sent == [("cpu", job_id), ("io", "")]
    harness.work(most=1)
    assert harness.text(job_id).split() == list(short(1).words)
    assert harness.job(job_id).lost == 0


@pytest.mark.parametrize(("path", "code"), [("/missing.wav", "download_failed"), ("/empty.wav", "empty_media")])
def test_what_cannot_be_fetched_is_told(harness: WorkerHarness, site: Receiver, path: str, code: str) -> None:
    job = harness.job(fetched(harness, site.url + path))
    assert job.status == JobStatus.FAILED
    assert job.error
    assert (job.error["code"], job.error["stage"]) == (code, "fetching")
    assert not harness.stored("media")


def test_what_is_no_recording_is_fetched_no_further(
    harness: WorkerHarness, site: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.files["/diary.mp3"] = b"Dear diary, " * 500_000
    received = 0
    add = FirstLook.add

    def counted(self: FirstLook, data: bytes) -> None:
        nonlocal received
        received += len(data)
        add(self, data)

    monkeypatch.setattr(FirstLook, "add", counted)
    job = harness.job(fetched(harness, f"{site.url}/diary.mp3"))
    assert job.status == JobStatus.FAILED
    assert job.error
    assert (job.error["code"], job.error["stage"], job.error["retryable"]) == ("unsupported_media", "fetching", False)
    assert "Also taken:" in job.error["message"]
    assert received < 300_000
    assert not harness.stored("media")


def test_a_site_that_is_down_is_asked_again(harness: WorkerHarness, site: Receiver) -> None:
    job_id = fetched(harness, "http://127.0.0.1:9/talk.wav")
    assert (harness.job(job_id).status, harness.job(job_id).failures) == (JobStatus.QUEUED, 1)
    assert not harness.stored("media")


def test_where_we_may_not_go(harness: WorkerHarness) -> None:
    job = harness.job(fetched(harness, "http://169.254.169.254/latest/meta-data"))
    assert job.error
    assert job.error["code"] == "outbound_refused"


def test_what_is_too_large_leaves_nothing(harness: WorkerHarness, site: Receiver) -> None:
    settings = harness.services.settings
    harness.services.settings = settings.model_copy(update={"max_upload_bytes": 1000})
    job = harness.job(fetched(harness, f"{site.url}/talk%20one.wav"))
    assert job.error
    assert job.error["code"] == "file_too_large"
    assert not harness.stored("media")


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ({"url": "https://x.org/a/b.mp3?sig=1"}, "b.mp3"),
        ({"url": "https://x.org/"}, None),
        ({"url": "https://x.org"}, None),
        ({"url": "https://x.org/a%2Fb%00.mp3"}, "b.mp3"),
        ({"s3_uri": "s3://calls/2026/one%20two?.mp3"}, "one%20two?.mp3"),
    ],
)
def test_names_of_sources(source: dict[str, str], name: str | None) -> None:
    assert filename(source) == name
