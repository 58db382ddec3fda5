"""The composition root: everything from settings alone, everything closed again."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.embedded_redis import broker_url
from infra.settings import Settings
from infra.wiring import build
from pipeline.errors import BrokerUnavailable, InvalidRequest


def test_a_home_is_enough(tmp_path: Path) -> None:
    with build(Settings(home=tmp_path / "new" / "home")) as services:
        account = services.accounts.create_account("first")
        secret, _ = services.accounts.create_key(account.id)
        assert services.accounts.authenticate(secret).account_id == account.id
        services.storage.put("t/x", b"bytes")
        assert services.storage.get("t/x") == b"bytes"
        assert services.catalog.model("whisper-1")
        with pytest.raises(BrokerUnavailable):
            services.queue.check()
    assert (tmp_path / "new" / "home").stat().st_mode & 0o077 == 0


def test_several_processes_may_build_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        for services in pool.map(build, [Settings(home=tmp_path)] * 4):
            services.close()


def test_two_services_share_no_numbers(tmp_path: Path) -> None:
    with build(Settings(home=tmp_path)) as one, build(Settings(home=tmp_path)) as two:
        one.metrics.rescued.inc()
        assert b"jobs_rescued_total 1.0" in one.metrics.render(one.jobs, one.queue, one.webhooks, one.workers)
        assert b"jobs_rescued_total 0.0" in two.metrics.render(two.jobs, two.queue, two.webhooks, two.workers)


def test_metrics_tell_what_can_be_asked(tmp_path: Path) -> None:
    with build(Settings(home=tmp_path)) as services:
        text = services.metrics.render(services.jobs, services.queue, services.webhooks, services.workers).decode()
    for line in ("job_queue_age_seconds 0.0", "outbox_pending 0.0", "webhook_endpoints_disabled 0.0", "broker_up 0.0"):
        assert line in text
    assert "celery_queue_length{" not in text


def test_a_wrong_setting_leaves_nothing_open(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest):
        build(Settings(home=tmp_path, storage_url="ftp://nowhere"))


def test_the_configured_broker_wins_over_the_private_one(tmp_path: Path) -> None:
    assert broker_url(Settings(home=tmp_path)) is None
    (tmp_path / "redis.url").write_text("redis://private")
    assert broker_url(Settings(home=tmp_path)) == "redis://private"
    assert broker_url(Settings(home=tmp_path, redis_url="redis://given")) == "redis://given"
