"""A name that no bucket anywhere can have ends every process before it begins; what some server takes is its server's to refuse."""

import pytest

from infra.environment.bucket_name import is_bucket_name
from infra.settings import Settings
from pipeline.errors import InvalidRequest


@pytest.mark.parametrize("name", ["abc", "recordings.example.org", "Bad_Bucket", "1.2.3", "a" * 255])
def test_what_some_server_takes(name: str) -> None:
    assert is_bucket_name(name)
    assert Settings.from_env({"STENOPOOL_STORAGE_URL": f"s3://{name}/below"}).storage == f"s3://{name}/below"


@pytest.mark.parametrize("name", ["", "ab", "a" * 256, "192.168.5.4", "No_Bucket!", "my bucket", "key:secret@bucket"])
def test_what_nobody_takes(name: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        Settings.from_env({"STENOPOOL_STORAGE_URL": f"s3://{name}/below"})
    assert "no bucket can be called so: a bucket's name has 3 to 255" in refused.value.message
    assert "secret" not in refused.value.message
    assert refused.value.param == "STENOPOOL_STORAGE_URL"
