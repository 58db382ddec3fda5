"""Requests made up from our own OpenAPI document by schemathesis, valid ones and broken ones: none may end in a fault of ours,
and none may get in without a key.

The seed is fixed, so that a failure is the same failure tomorrow.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import ignored_auth, not_a_server_error

from api.access.admin_key import is_admin_path
from api.http.request_middleware import PUBLIC
from api.main import create_app
from infra.wiring import Services
from tests.api.conftest import ADMIN_KEY
from tests.api.serving import running

pytestmark = pytest.mark.processes

EXAMPLES = 8  # of each operation, and of either kind
LONG_POLLS = ("wait", "stream")  # parameters whose only effect would be to take long
SEED = 20261123


@pytest.fixture(scope="module")
def url(services: Services) -> Iterator[str]:
    with running(create_app(services)) as server:
        yield server.url


@pytest.fixture(scope="module")
def key(services: Services) -> str:
    account = services.accounts.create_account("fuzz", "enterprise").id
    services.ledger.top_up(account, 10**9)
    return services.accounts.create_key(account)[0]


def brief(case: Any) -> Any:
    """The same request without waiting, and for a model that answers at once wherever it names one."""
    for name in LONG_POLLS:
        case.query.pop(name, None)
    if isinstance(case.body, dict) and isinstance(case.body.get("model"), str):
        case.body["model"] = "oracle"
    return case


def fuzz(operation: Any, mode: GenerationMode, secret: str) -> None:
    """EXAMPLES requests; the first is also sent without the key, and with a wrong one."""
    headers = {"Authorization": f"Bearer {secret}"}
    checks = [not_a_server_error, ignored_auth]

    @seed(SEED)
    @settings(
        max_examples=EXAMPLES,
        phases=[Phase.generate],
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def probe(case: Any) -> None:
        brief(case).call_and_validate(headers=headers, checks=checks[:], timeout=60)
        del checks[1:]

    probe()


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda mode: mode.value)
def test_no_made_up_request_is_a_fault_of_ours(url: str, key: str, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    guarded = [operation for operation in operations if operation.path not in PUBLIC]
    assert len(guarded) >= 40
    for operation in guarded:
        fuzz(operation, mode, ADMIN_KEY if is_admin_path(operation.path) else key)
