"""An address that is none of Redis ends every process, with the setting's name and without the password."""

import pytest

from infra.environment.redis_url import is_redis_url
from infra.settings import Settings
from pipeline.errors import InvalidRequest

GOOD = (
    "redis://127.0.0.1:6379/0",
    "redis://redis",
    "rediss://:s%2Fcret@redis.example.org:6380/2?ssl_cert_reqs=required",
    "redis://user:secret@[::1]:6379",
    "unix:///run/redis.sock?db=2",
    "unix://:secret@/run/redis.sock",
    "redis+socket:///run/redis.sock?virtual_host=2",
)
BAD = (
    "127.0.0.1:6379",
    "redis.example.org",
    "amqp://127.0.0.1",
    "http://127.0.0.1:6379/0",
    "redis://127.0.0.1:port/0",
    "redis://127.0.0.1:99999/0",
    "redis://127.0.0.1:6379/jobs",
    "redis://:hunter/2@127.0.0.1:6379/0",
    "redis://:hunter#2@127.0.0.1:6379/0",
    "unix://",
)


@pytest.mark.parametrize("url", GOOD)
def test_what_both_clients_take_is_taken(url: str) -> None:
    assert is_redis_url(url)


@pytest.mark.parametrize("url", BAD)
def test_what_is_no_address_of_redis_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        Settings.from_env({"STENOPOOL_REDIS_URL": url})
    assert refused.value.message.startswith("STENOPOOL_REDIS_URL: it is a URL such as redis://")
    assert "hunter" not in refused.value.message
