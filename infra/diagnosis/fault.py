"""What is wrong with a part, and whether waiting may mend it."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from pipeline.errors import StenopoolError

LOOK_SECONDS = 3.0  # for a server to take a connection


class Misconfigured(StenopoolError):
    """Something that is needed refuses us, and waiting does not help."""

    code = "misconfigured"


@dataclass(frozen=True)
class Fault:
    """`told` is what is wrong, `advice` the one thing to do; `heals`: it may pass by itself."""

    told: str
    advice: str
    heals: bool = False

    @property
    def sentence(self) -> str:
        """Both together, for a log or a last word."""
        return f"{self.told}: {self.advice}"


def unreachable(part: str, variable: str, url: str, port: int) -> Fault:
    """Why no connection to the server of this URL comes about; of an unknown host and of one that is away each its own words.

    `part` is what it is called in a sentence, `variable` where it is configured, `port` what is meant where the URL has none.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or port
    place = f"{host} port {port}"
    if not host:
        return Fault(f"{part} does not answer at its socket", f"start it, or correct {variable}", heals=True)
    try:
        with socket.create_connection((host, port), LOOK_SECONDS):
            return Fault(f"{part} at {place} takes connections and does not answer", "look into its log", heals=True)
    except socket.gaierror:
        return Fault(
            f"no host is called {host!r}, where {part} should be", f"correct {variable}, or the DNS", heals=True
        )
    except TimeoutError:
        told = f"{part} at {place} does not answer"
        return Fault(told, f"see that it runs, that no firewall is between, and that {variable} is right", heals=True)
    except OSError as error:
        told = f"{part} is not running at {place} ({error.strerror or error})"
        return Fault(told, f"start it, or correct {variable}", heals=True)
