"""What a short job asks of the database: few statements in few transactions, none of which is built anew for each job."""

from infra.jobs.queue.fair_order import TO_THE_OLDEST
from pipeline.lifecycle import JobStatus
from tests.support.asked_statements import listening
from tests.support.recordings import short
from tests.workers.conftest import WorkerHarness

MOST_OF_SUBMISSION, MOST_OF_WORK = 15, 26


def test_a_short_job_costs_few_statements_and_builds_none(harness: WorkerHarness) -> None:
    for number in range(TO_THE_OLDEST):  # all ways in which a claim chooses
        harness.submit(short(number))
        assert harness.work() == 1
    with listening() as submission:
        job_id = harness.submit(short(TO_THE_OLDEST))
    with listening() as work:
        assert harness.work(most=1) == 1
    assert harness.job(job_id).status == JobStatus.COMPLETED
    assert submission.unknown == work.unknown == []
    assert (submission.transactions, work.transactions) == (3, 7)
    assert len(submission.statements) <= MOST_OF_SUBMISSION, submission.statements
    assert len(work.statements) <= MOST_OF_WORK, work.statements
