"""The composition root: build(settings) makes everything a process needs, and closes what it opened."""

from __future__ import annotations

import logging
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Self

from infra.audit.audit_log import AuditLog
from infra.batches.batch_store import BatchStore
from infra.batches.line_store import LineStore
from infra.batches.source_store import SourceStore
from infra.broker import JobQueue
from infra.buckets.allow_list import BucketAccess
from infra.console.console_sessions import ConsoleSessions
from infra.console.sign_in_links import SignInLinks
from infra.database.session import Database
from infra.embedded_redis import broker_url
from infra.encryption.key_file import UNSET, secret_keys
from infra.encryption.resealing import Resealing
from infra.encryption.rolling_upgrade import EverybodyOpens
from infra.encryption.secret_box import SecretBox
from infra.files.file_store import FileStore
from infra.files.joining import Joiner
from infra.files.upload_store import UploadStore
from infra.idempotency import IdempotencyStore
from infra.jobs.store import JobStore
from infra.keys.accounts import Accounts
from infra.keys.idempotent_creation import IdempotentCreation
from infra.limits.estimate_minutes import EstimateMinutes
from infra.limits.rate_limits import RateLimits
from infra.links.job_links import JobLinks
from infra.media import MediaStore
from infra.metrics import Metrics
from infra.money.adjustments import Adjustments
from infra.money.hold_renewal import HoldRenewal
from infra.money.ledger import Ledger
from infra.money.quota import Quota
from infra.money.ratios import Ratios
from infra.money.receipts import Receipts
from infra.money.statements import Statements
from infra.money.usage import Usage
from infra.operator_queries import OperatorQueries
from infra.outbound.client import Outbound
from infra.privacy.account_erasure import AccountEraser
from infra.revisions.store import Revisions
from infra.settings import Settings
from infra.storage import ObjectStore, open_storage
from infra.storage.answer_spool import AnswerSpool
from infra.webhooks.balance_low import BalanceAlerts
from infra.webhooks.health.all_endpoints import AllEndpoints
from infra.webhooks.store import WebhookStore
from infra.worker_heartbeats import WorkerStore
from pipeline.catalog.catalog import Catalog
from pipeline.provider_registry import ProviderRegistry

log = logging.getLogger(__name__)


@dataclass
class Services:
    """What the doors share. Close it, or use it as a context manager."""

    settings: Settings
    database: Database
    secrets: SecretBox
    resealing: Resealing
    accounts: Accounts
    idempotent_creation: IdempotentCreation
    console_sessions: ConsoleSessions
    sign_in_links: SignInLinks
    media: MediaStore
    files: FileStore
    uploads: UploadStore
    joiner: Joiner
    batches: BatchStore
    lines: LineStore
    sources: SourceStore
    jobs: JobStore
    links: JobLinks
    eraser: AccountEraser
    webhooks: WebhookStore
    all_endpoints: AllEndpoints
    balance_alerts: BalanceAlerts
    revisions: Revisions
    idempotency: IdempotencyStore
    ledger: Ledger
    renewal: HoldRenewal
    receipts: Receipts
    adjustments: Adjustments
    statements: Statements
    usage: Usage
    ratios: Ratios
    limits: RateLimits
    quota: Quota
    estimate_minutes: EstimateMinutes
    operator_queries: OperatorQueries
    audit: AuditLog
    workers: WorkerStore
    storage: ObjectStore
    buckets: BucketAccess
    answers: AnswerSpool
    queue: JobQueue
    catalog: Catalog
    registry: ProviderRegistry
    outbound: Outbound
    metrics: Metrics
    _closing: ExitStack = field(default_factory=ExitStack, repr=False)

    def close(self) -> None:
        """Close everything `build` opened, the latest first."""
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def build(settings: Settings, *, engine_processes: int | None = None) -> Services:
    """Open everything and bring the database's schema up to date.

    `engine_processes` bounds the warm processes of each local engine that is ours alone (default: settings.cpu_processes). Raises
    InvalidRequest for settings that make no sense, DatabaseUnavailable, StorageUnavailable.
    """
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as opened:
        services = _services(settings, _opened(settings, engine_processes, opened))
        services._closing = opened.pop_all()
    return services


@dataclass(frozen=True)
class _Resources:
    """What is closed at the end."""

    database: Database
    storage: ObjectStore
    buckets: BucketAccess
    queue: JobQueue
    registry: ProviderRegistry
    outbound: Outbound


def _opened(settings: Settings, engine_processes: int | None, opened: ExitStack) -> _Resources:
    """One after the other: where one cannot be opened, the stack closes those before it."""
    hold = opened.enter_context
    database = hold(
        closing(Database(settings.database, connections=settings.database_pool, public_url=settings.public_url))
    )
    database.migrate()
    return _Resources(
        database=database,
        storage=hold(closing(open_storage(settings.storage))),
        buckets=hold(closing(BucketAccess(settings.buckets))),
        queue=hold(closing(JobQueue(lambda: broker_url(settings)))),
        registry=hold(closing(_open_registry(settings, engine_processes))),
        outbound=hold(closing(Outbound(settings.outbound_allow, settings.outbound_http))),
    )


def _services(settings: Settings, resources: _Resources) -> Services:
    """Everything else is made of these, and holds nothing open."""
    database, storage, catalog = resources.database, resources.storage, resources.registry.catalog
    accounts, workers = Accounts(database, settings.peppers), WorkerStore(database)
    secrets = open_secrets(settings, workers)
    jobs = JobStore(database, lease_seconds=settings.lease_seconds, max_attempts=settings.max_attempts, secrets=secrets)
    files, uploads = FileStore(database), UploadStore(database)
    return Services(
        settings=settings,
        database=database,
        secrets=secrets,
        resealing=Resealing(database, secrets),
        accounts=accounts,
        idempotent_creation=IdempotentCreation(database, accounts),
        console_sessions=ConsoleSessions(database),
        sign_in_links=SignInLinks(database, accounts),
        media=MediaStore(database),
        files=files,
        uploads=uploads,
        joiner=Joiner(uploads, files, storage),
        batches=BatchStore(database),
        lines=LineStore(database),
        sources=SourceStore(database),
        jobs=jobs,
        links=JobLinks(database),
        eraser=AccountEraser(database, jobs, accounts),
        webhooks=WebhookStore(database, secrets),
        all_endpoints=AllEndpoints(database),
        balance_alerts=BalanceAlerts(database),
        revisions=Revisions(database),
        idempotency=IdempotencyStore(database),
        ledger=Ledger(database),
        renewal=HoldRenewal(database),
        receipts=Receipts(database),
        adjustments=Adjustments(database),
        statements=Statements(database),
        usage=Usage(database),
        ratios=Ratios(database, catalog),
        limits=RateLimits(partial(broker_url, settings)),
        quota=Quota(database),
        estimate_minutes=EstimateMinutes(database),
        operator_queries=OperatorQueries(database),
        audit=AuditLog(database),
        workers=workers,
        storage=storage,
        buckets=resources.buckets,
        answers=AnswerSpool(settings.home / "answers"),
        queue=resources.queue,
        catalog=catalog,
        registry=resources.registry,
        outbound=resources.outbound,
        metrics=Metrics(),
    )


def _open_registry(settings: Settings, engine_processes: int | None) -> ProviderRegistry:
    """Engines that are shared are as many as the machine may have, whoever of those who share them comes first."""
    socket, most = settings.engine_socket, settings.cpu_processes
    return ProviderRegistry(
        settings.load_catalog(), engine_processes=most if socket else engine_processes or most, engine_socket=socket
    )


def open_secrets(settings: Settings, workers: WorkerStore) -> SecretBox:
    """Seals once every worker alive can open. Raises InvalidRequest for what is no key."""
    keys = secret_keys(settings)
    if not keys:
        log.warning("%s", UNSET)
    return SecretBox(keys, may_seal=EverybodyOpens(workers))
