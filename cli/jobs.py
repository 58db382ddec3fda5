"""`stenopool jobs`: submit, list, show, cancel, retry and pay for jobs."""

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
from cli.job_progress import follow
from cli.operator_database import AsJson, moment
from cli.output import complain, print_json, print_table, remark, remark_on_omissions
from pipeline.errors import InvalidRequest, StenopoolError
from pipeline.lifecycle import JobStatus
from pipeline.options import Channels, Task

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
def submit(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="A recording of any size.")],
    *,
    model: Annotated[str, typer.Option(help="As `stenopool models` lists them.")] = "whisper-1",
    language: Annotated[str | None, typer.Option(help="ISO 639-1, where known: en. auto: found out.")] = None,
    channels: Annotated[Channels, typer.Option(help="separate: each channel by itself.")] = "mix",
    audio_track: Annotated[
        str | None, typer.Option(metavar="NUMBER|all", help="Of a file with several, from 1; all: each by itself.")
    ] = None,
    speakers: Annotated[str | None, typer.Option(metavar="NUMBER|auto", help="Say who speaks.")] = None,
    priority: Annotated[
        str | None, typer.Option(metavar="-10..10|low|normal", help="Among your own jobs; the higher goes first.")
    ] = None,
    webhook_url: Annotated[str | None, typer.Option(help="Tell this URL when the job has ended.")] = None,
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
    """Upload a recording as a job to a running installation. The base URL's default is http://127.0.0.1:8000."""
    fields = {
        "model": model,
        "language": language,
        "channels": channels if channels != "mix" else None,
        "audio_track": audio_track,
        "speakers": speakers,
        "priority": priority,
        "webhook.url": webhook_url,
    }
    with Client(base_url or LOCAL, api_key) as client:
        job = client.submit(file, fields, idempotency_key=idempotency_key)
        if not wait:
            print_json(job) if as_json else typer.echo(job["id"])
            return
        remark(f"{job['id']} submitted")
        job = follow(client, job["id"])
        transcript = client.transcript(job["id"], format_name) if job["status"] == JobStatus.COMPLETED else ""
    _deliver(job, transcript, output, as_json=as_json)


@app.command()
def transcript(
    job_id: JobId,
    *,
    format_name: Annotated[str, typer.Option("--format", help="json, verbose_json, text, srt, vtt …")] = "text",
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Print the transcript of a finished job of a running installation."""
    with Client(base_url or LOCAL, api_key) as client:
        text = client.transcript(job_id, format_name)
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
