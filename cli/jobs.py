"""`stenopool jobs`: submit, list, show, follow, cancel, retry, pay for and pass on jobs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.atomic_output import write_whole
from cli.client import Client
from cli.exits import FAILED, exit_code
from cli.job_backends import open_job_backend
from cli.job_fields import Fields, with_fields
from cli.job_progress import follow
from cli.operator_database import AsJson, moment
from cli.output import complain, print_json, print_table, remark, remark_on_omissions
from pipeline.errors import InvalidRequest, StenopoolError
from pipeline.lifecycle import JobStatus
from pipeline.options import Task

LOCAL = "http://127.0.0.1:8000"
HELP = """Submit, list, show, cancel, retry and pay for jobs.

With --base-url it asks that installation, as the account of --api-key. Without it, list, show, cancel and retry work
directly in the configured database, on the jobs of all accounts."""

app = typer.Typer(help=HELP, no_args_is_help=True, add_completion=False)

BaseUrl = Annotated[
    str | None, typer.Option(envvar="STENOPOOL_BASE_URL", help="Of a running installation: http://host:8000")
]
ApiKey = Annotated[str | None, typer.Option(envvar="STENOPOOL_API_KEY", help="A key of that installation.")]
JobId = Annotated[str, typer.Argument(help="job_…")]
JobIds = Annotated[list[str], typer.Argument(metavar="JOB_ID...", help="job_…, as many as you like.")]


@app.command("list")
def list_jobs(
    *,
    status: Annotated[JobStatus | None, typer.Option(help="Only those in this status.")] = None,
    account: Annotated[str | None, typer.Option(help="Only of this account, in the operator's view.")] = None,
    task: Annotated[Task | None, typer.Option(help="Only of this task.")] = None,
    model: Annotated[str | None, typer.Option(help="Only with this model.")] = None,
    reference: Annotated[str | None, typer.Option(help="Only with this client_reference_id.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the latest first.")] = 20,
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List jobs, the latest first."""
    with open_job_backend(base_url, api_key) as backend:
        found = backend.list(
            limit=limit,
            status=status.value if status else None,
            account_id=account,
            task=task,
            model=model,
            client_reference_id=reference,
        )
    if as_json:
        print_json(found)
        return
    print_table(("job", "status", "stage", "%", "model", "created", "file", "error"), (_row(job) for job in found))


@app.command()
def show(job_id: JobId, *, base_url: BaseUrl = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Show everything about one job."""
    with open_job_backend(base_url, api_key) as backend:
        job = backend.show(job_id)
    _print_job(job, as_json=as_json)


@app.command()
def cancel(job_ids: JobIds, *, base_url: BaseUrl = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Cancel jobs that have not ended. Exit code 4 when one has; the others are cancelled all the same."""
    _act(job_ids, "cancel", base_url, api_key, as_json=as_json)


@app.command()
def retry(job_ids: JobIds, *, base_url: BaseUrl = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Run failed or partial jobs again: only what failed is redone."""
    _act(job_ids, "retry", base_url, api_key, as_json=as_json)


@app.command()
@with_fields
def submit(
    file: Annotated[
        Path | None, typer.Argument(exists=True, dir_okay=False, readable=True, help="A recording of any size.")
    ] = None,
    *,
    fields: Fields,
    idempotency_key: Annotated[
        str | None, typer.Option(help="Submitting again with the same key makes no second job.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow it to its end and print the transcript.")] = False,
    format_name: Annotated[str, typer.Option("--format", help="Of the transcript, with --wait.")] = "text",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where the transcript goes, with --wait.")
    ] = None,
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Make a job at a running installation: of FILE, or of what --url, --file-id, --upload-id, --s3-uri or --text (- for standard
    input) names. The model's default is whisper-1, for a text tts-1; the base URL's is http://127.0.0.1:8000."""
    with Client(base_url or LOCAL, api_key) as client:
        job = client.submit(file, _defaults(fields) | dict(fields), idempotency_key=idempotency_key)
        if not wait:
            print_json(job) if as_json else typer.echo(job["id"])
            return
        remark(f"{job['id']} submitted")
        job = follow(client, job["id"])
        if job["task"] == "speech" and job["status"] == JobStatus.COMPLETED:
            _keep_sound(client, job, output, as_json=as_json)
            return
        transcript = client.transcript(job["id"], format_name) if job["status"] == JobStatus.COMPLETED else ""
    _deliver(job, transcript, output, as_json=as_json)


def _defaults(fields: Fields) -> dict[str, str]:
    spoken = "text" in fields or fields.get("task") == "speech"
    return {"task": "speech", "model": "tts-1"} if spoken else {"model": "whisper-1"}


def _keep_sound(client: Client, job: dict[str, Any], output: Path | None, *, as_json: bool) -> None:
    if output is not None:
        remark(f"{write_whole(output, client.audio(job['id']))} bytes in {output}")
    print_json(job) if as_json else typer.echo(job["id"])


@app.command()
def wait(job_id: JobId, *, base_url: BaseUrl = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Follow a job of a running installation to its end. Exit code 1 when it ends without a result."""
    with Client(base_url or LOCAL, api_key) as client:
        job = follow(client, job_id)
    if as_json:
        print_json(job)
    if job["status"] != JobStatus.COMPLETED:
        complain(_why(job))
        raise typer.Exit(FAILED)
    remark(f"{job['id']} is {job['status']}")


@app.command()
def link(
    job_id: JobId,
    *,
    format_name: Annotated[
        str | None, typer.Option("--format", help="Of the transcript, or audio. Unset: as the job's request said.")
    ] = None,
    expires_in: Annotated[int, typer.Option(min=1, help="Seconds for which it works.")] = 86_400,
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Print a link to a job's result at a running installation, which opens without a key until it expires or is revoked."""
    with Client(base_url or LOCAL, api_key) as client:
        made = client.link(job_id, {"format": format_name, "expires_in": expires_in})
    print_json(made) if as_json else typer.echo(made["url"])


@app.command()
def unlink(
    job_id: JobId,
    link_id: Annotated[str, typer.Argument(help="link_…")],
    *,
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Revoke a link to a job's result at a running installation."""
    with Client(base_url or LOCAL, api_key) as client:
        client.unlink(job_id, link_id)
    remark(f"{link_id} is revoked")


@app.command()
def transcript(
    job_id: JobId,
    *,
    format_name: Annotated[str, typer.Option("--format", help="json, verbose_json, text, srt, vtt …")] = "text",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where it goes, if not to be printed.")] = None,
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Print the transcript of a finished job of a running installation."""
    with Client(base_url or LOCAL, api_key) as client:
        text = client.transcript(job_id, format_name)
    if output is not None:
        write_whole(output, [text.encode()])
    else:
        typer.echo(text, nl=not text.endswith("\n"))


@app.command()
def pay(job_id: JobId, *, base_url: BaseUrl = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Pay for the text of a failed job of a running installation, and print it. Once more: it is printed again, for nothing.

    Exit code 4 for a job that has not failed, 6 when the balance does not suffice.
    """
    with Client(base_url or LOCAL, api_key) as client:
        job = client.act(job_id, "pay")
        heard = [] if as_json else [segment["text"].strip() for segment in client.segments(job_id)]
    if as_json:
        print_json(job)
        return
    typer.echo("\n".join(heard), nl=bool(heard))
    remark(f"{job['id']} has cost {job['cost']['captured']} USD in all" + ("" if heard else "; it has no text to read"))


@app.command()
def audio(
    job_id: JobId,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the sound goes.")],
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Fetch the sound of a finished speech job of a running installation."""
    with Client(base_url or LOCAL, api_key) as client:
        remark(f"{write_whole(output, client.audio(job_id))} bytes in {output}")


def _act(job_ids: Sequence[str], action: str, base_url: str | None, api_key: str | None, *, as_json: bool) -> None:
    """To each of them. One that refuses stops none of the others; of several, the first refusal's code is left with."""
    jobs: list[dict[str, Any]] = []
    refused: list[StenopoolError] = []
    with open_job_backend(base_url, api_key) as backend:
        for job_id in job_ids:
            try:
                jobs.append(backend.act(job_id, action))
            except StenopoolError as error:
                if len(job_ids) == 1:
                    raise
                refused.append(error)
                remark(f"{job_id}: {' '.join(error.message.split())} [{error.as_dict()['code']}]")
    if as_json:
        print_json(jobs if len(job_ids) > 1 else jobs[0])
    else:
        for job in jobs:
            remark(f"{job['id']} is {job['status']}")
    if refused:
        raise typer.Exit(exit_code(refused[0]))


def _deliver(job: dict[str, Any], transcript: str, output: Path | None, *, as_json: bool) -> None:
    """The transcript where it was wanted, or why there is none."""
    if job["status"] != JobStatus.COMPLETED:
        if as_json:
            print_json(job)
        complain(_why(job))
        raise typer.Exit(FAILED)
    if output is not None:
        write_whole(output, [transcript.encode()])
    if as_json:
        print_json(job)
    elif output is None:
        typer.echo(transcript, nl=not transcript.endswith("\n"))
    remark_on_omissions(job["id"], job.get("gaps") or (), job.get("warnings") or ())


def _why(job: dict[str, Any]) -> StenopoolError:
    error = job.get("error") or {}
    message = f"{job['id']} is {job['status']}" + (f": {error['message']}" if error.get("message") else "")
    return InvalidRequest(message, code=error.get("code") or job["status"])


def _row(job: dict[str, Any]) -> tuple[object, ...]:
    progress = job["progress"]
    error = (job.get("error") or {}).get("code")
    return (
        job["id"],
        job["status"],
        progress["stage"],
        f"{progress['percent']:.0f}",
        job["model"],
        moment(job["created_at"]),
        (job.get("input") or {}).get("filename"),
        error,
    )


def _print_job(job: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(job)
        return
    rows = (
        (name, moment(value) if name.endswith("_at") else _plain(value))
        for name, value in job.items()
        if value not in (None, {}, [])
    )
    print_table(("", ""), rows)
    remark_on_omissions(job["id"], job.get("gaps") or (), job.get("warnings") or ())


def _plain(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
