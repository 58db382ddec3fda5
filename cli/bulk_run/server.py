"""Who hears the recordings of an archive: this machine, the jobs of a Stenopool, or the calls of any other server."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from cli.archive.hearer import Hearer, HearerOnDemand, LocalHearer, foreign_catalog, local_catalog
from cli.archive.plan import Hearing
from cli.archive.throttle import Throttle
from cli.archive_jobs.job_hearer import JobHearer
from cli.client import Client
from cli.environment import settings
from cli.exits import ApiRefused
from cli.jobs import LOCAL
from pipeline.errors import InvalidRequest

JOBS_AT_ONCE = 32  # as many as keep the workers of a server busy
CALLS_AT_ONCE = 8  # to a server without jobs


@dataclass(frozen=True)
class Server:
    """Who is to hear."""

    local: bool
    base_url: str | None
    api_key: str | None
    concurrency: int | None
    complete_by: int | None = None  # epoch seconds

    @property
    def at_once(self) -> int:
        """Recordings at once, at most."""
        return self.concurrency or (settings().cpu_processes if self.local else JOBS_AT_ONCE)

    def hearer(self, hearing: Hearing, throttle: Throttle, held: contextlib.ExitStack) -> Hearer:
        """Who hears, when somebody has to. Raises InvalidRequest for what nobody here can promise."""
        if self.local:
            if self.complete_by is not None:
                raise InvalidRequest(
                    "--complete-by is for a server that has other work, too; --local has not.", param="complete_by"
                )
            found = HearerOnDemand(lambda: self._here(hearing, throttle))
        else:
            client = held.enter_context(Client(self.base_url or LOCAL, self.api_key))
            found = HearerOnDemand(lambda: self._there(client, hearing, throttle))
        held.callback(found.close)
        return found

    def _here(self, hearing: Hearing, throttle: Throttle) -> Hearer:
        """Raises ModelNotFound and so on."""
        processes, catalog = settings().cpu_processes, local_catalog(settings(), hearing)
        return LocalHearer(catalog, throttle, processes=processes, at_once=self.at_once)

    def _there(self, client: Client, hearing: Hearing, throttle: Throttle) -> Hearer:
        """Raises ApiAway, ApiRefused, InvalidRequest."""
        if _has_jobs(client):
            return JobHearer(client, complete_by=self.complete_by)
        if self.complete_by is not None:
            raise InvalidRequest("--complete-by: this server has no jobs that could rise in time.", param="complete_by")
        calls = self.concurrency or CALLS_AT_ONCE
        throttle.limit(calls)
        return LocalHearer(
            foreign_catalog(client.base_url, self.api_key, hearing), throttle, processes=calls, at_once=calls
        )


def _has_jobs(client: Client) -> bool:
    """Whether a Stenopool answers, or another server that speaks the OpenAI audio API. Raises ApiAway, ApiRefused."""
    try:
        next(client.jobs(limit=1), None)
    except ApiRefused as error:
        if error.details["status"] in (404, 405):
            return False
        raise
    return True
