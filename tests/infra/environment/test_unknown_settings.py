"""Variables that look like settings and are none."""

from pathlib import Path

import pytest

from infra.settings import Settings
from pipeline.errors import InvalidRequest

KUBERNETES = {  # as a container finds them beside a Service called `stenopool`, and one called `stenopool-api`
    "STENOPOOL_SERVICE_HOST": "10.0.0.1",
    "STENOPOOL_SERVICE_PORT": "8000",
    "STENOPOOL_SERVICE_PORT_HTTP": "8000",
    "STENOPOOL_PORT": "tcp://10.0.0.1:8000",
    "STENOPOOL_PORT_8000_TCP": "tcp://10.0.0.1:8000",
    "STENOPOOL_PORT_8000_TCP_PROTO": "tcp",
    "STENOPOOL_PORT_8000_TCP_PORT": "8000",
    "STENOPOOL_PORT_8000_TCP_ADDR": "10.0.0.1",
    "STENOPOOL_API_SERVICE_HOST": "10.0.0.1",
    "STENOPOOL_API_PORT": "tcp://10.0.0.1:8000",
    "STENOPOOL_API_PORT_8000_TCP": "tcp://10.0.0.1:8000",
}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("STENOPOOL_DATABSE_URL", "STENOPOOL_DATABASE_URL"),
        ("STENOPOOL_DATABASE_URI", "STENOPOOL_DATABASE_URL"),
        ("STENOPOOL_HOMES", "STENOPOOL_HOME"),
        ("STENOPOOL_ADMIN_KEY_FIL", "STENOPOOL_ADMIN_KEY_FILE"),
        ("STENOPOOL_IOTHREADS", "STENOPOOL_IO_THREADS"),
        ("STENOPOOL_BASEURL", "STENOPOOL_BASE_URL"),
    ],
)
def test_a_name_within_two_letters_of_a_setting_is_refused_with_that_setting(written: str, meant: str) -> None:
    with pytest.raises(InvalidRequest, match=rf"^{written}: there is no such setting\. {meant} is meant\?") as refused:
        Settings.from_env({written: "x"})
    assert refused.value.param == written


def test_other_names_are_told_and_do_no_harm() -> None:
    settings = Settings.from_env({"STENOPOOL_COLOUR_OF_THE_CONSOLE": "green", "PATH": "/bin"})
    assert settings.unknown == ["STENOPOOL_COLOUR_OF_THE_CONSOLE"]


def test_what_kubernetes_sets_by_itself_is_passed_over() -> None:
    assert Settings.from_env(KUBERNETES).unknown == []


def test_keys_that_the_catalog_names_are_known(tmp_path: Path) -> None:
    catalog, key = tmp_path / "catalog.toml", "STENOPOOL_OPENAI_API_KEY2"
    catalog.write_text(f'[providers.mine]\nkind = "openai"\nbase_url = "http://x/v1"\napi_key_env = "{key}"\n')
    assert Settings.from_env({"STENOPOOL_CATALOG": str(catalog), key: "sk-mine"}).unknown == []
