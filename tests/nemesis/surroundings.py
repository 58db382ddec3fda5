"""What an installation has around it, whatever it is made of: a provider, a receiver of webhooks, a small disk, a catalog."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.nemesis.provider import Provider
from tests.nemesis.small_disk import SmallDisk, small_disk
from tests.support.receiver import Receiver, receiving
from tests.support.tcp_proxy import TcpProxy, tcp_proxy

MEGABYTES = 128
CATALOG = """
[providers.far]
kind = "openai"
base_url = "{url}"
api_key = "sk-nemesis"
containers = ["wav"]
concurrency = 8
max_s = 4.0
min_s = 1.5

[providers.oracle]
max_s = 4.0
min_s = 1.5

[models.far]
tasks = ["transcription"]
routes = [{{ provider = "far", model = "gpt-4o-transcribe" }}]
prices = {{ audio_minute = "0.006" }}

[models.near]
tasks = ["transcription"]
routes = [{{ provider = "oracle", model = "oracle" }}]
prices = {{ audio_minute = "0.006" }}
"""
MICRO_PER_SECOND = 100  # 0.006 USD a minute


@dataclass(frozen=True)
class Surroundings:
    """`folder` is on a disk that never fails; `hook` is where the receiver is told."""

    folder: Path
    provider: Provider
    receiver: Receiver
    receiver_link: TcpProxy
    disk: SmallDisk

    @property
    def catalog(self) -> Path:
        return self.folder / "catalog.toml"

    @property
    def hook(self) -> str:
        return self.receiver_link.url

    def mend(self) -> None:
        """Nothing is wrong with any of it."""
        self.provider.failing = 0.0
        self.provider.come_back()
        self.receiver_link.mend()
        self.disk.free()


@contextmanager
def surroundings(folder: Path, seed: int) -> Iterator[Surroundings]:
    """Until the block ends."""
    with (
        Provider(seed).serving() as provider,
        receiving() as receiver,
        tcp_proxy(urlsplit(receiver.url).port or 0) as link,
        small_disk(folder / "disk", MEGABYTES) as disk,
    ):
        made = Surroundings(folder, provider, receiver, link, disk)
        made.catalog.write_text(CATALOG.format(url=provider.url))
        yield made
