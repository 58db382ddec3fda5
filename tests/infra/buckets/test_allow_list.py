"""The operator's list of buckets: matched up to a slash, for whom it says, and read from JSON or a file."""

import json
from pathlib import Path

import pytest

from infra.buckets.allow_list import BucketAccess, Grant
from infra.buckets.s3_path import S3Path
from infra.settings import Settings
from pipeline.errors import BucketNotAllowed, InvalidRequest

LIST = [
    {"account": "acct_1", "uri": "s3://calls/2026", "access": "read"},
    {"account": "*", "uri": "s3://shared/", "access": "read-write", "endpoint_url": "http://127.0.0.1:9"},
]


def allowed(account: str, uri: str, access: str) -> bool:
    grants = [Grant.model_validate(one) for one in LIST]
    return any(one.opens(account, S3Path.parse(uri, param="uri"), access) for one in grants)


def test_a_place_is_matched_up_to_a_slash() -> None:
    assert allowed("acct_1", "s3://calls/2026/a.mp3", "read")
    assert allowed("acct_1", "s3://calls/2026", "read") and allowed("acct_1", "s3://calls/2026/", "read")
    for uri in (
        "s3://calls/2026b/a.mp3",
        "s3://calls/",
        "s3://calls/202",
        "s3://calls2/2026/a.mp3",
        "s3://Calls/2026/a",
    ):
        assert not allowed("acct_1", uri, "read"), uri


def test_for_whom_and_for_what() -> None:
    assert not allowed("acct_2", "s3://calls/2026/a.mp3", "read")
    assert not allowed("acct_1", "s3://calls/2026/a.mp3", "write")
    assert allowed("acct_2", "s3://shared/a", "read") and allowed("acct_2", "s3://shared/a", "write")


@pytest.mark.parametrize(
    "uri", ["s3://b", "s3:/bucket/a", "https://bucket/a", "s3://bucket/a/../b", "s3://bucket/./b", "s3://bu cket/a"]
)
def test_what_is_no_place_is_refused(uri: str) -> None:
    with pytest.raises(InvalidRequest):
        S3Path.parse(uri, param="input.uri")


def test_what_is_not_listed_is_not_opened() -> None:
    with pytest.raises(BucketNotAllowed, match="STENOPOOL_BUCKETS"):
        BucketAccess(()).open("acct_1", S3Path("calls", "a"), "read")


def test_the_list_is_json_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "buckets.json"
    file.write_text(json.dumps(LIST))
    for given in (json.dumps(LIST), str(file)):
        settings = Settings.from_env({"STENOPOOL_BUCKETS": given})
        assert [one.uri for one in settings.buckets] == ["s3://calls/2026/", "s3://shared/"]


@pytest.mark.parametrize(
    "given", ["[{]", "/nowhere", '[{"uri": "s3://b/x", "access": "all"}]', '[{"uri": "b", "access": "read"}]']
)
def test_a_broken_list_is_told_at_the_start(given: str) -> None:
    with pytest.raises(InvalidRequest, match="STENOPOOL_BUCKETS"):
        Settings.from_env({"STENOPOOL_BUCKETS": given})
