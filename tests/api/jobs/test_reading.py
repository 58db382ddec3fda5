"""A job that fails: what was read of it is paid and stays, the rest is told its price."""

from typing import Any

import pytest

from api.live_transcript import ReadChunk, SoFar
from pipeline.transcript import Segment
from tests.api.conftest import JOBS, House, recording

pytestmark = pytest.mark.processes


def test_a_page_comes_from_the_chunks_of_its_segments_and_the_silence_before_them() -> None:
    segments = [Segment("a", 100, 900), Segment("b", 1000, 1900), Segment("c", 5200, 5900)]
    ends = (2000, 4000, 6000, 8000)  # nobody says anything in the second and the last
    read = SoFar(segments, [ReadChunk(idx, end, handed_out=False) for idx, end in enumerate(ends)])
    assert [read.source(number).idx for number in range(3)] == [0, 0, 2]
    for numbers, chunks in (([0], [0]), ([1], [0]), ([0, 1, 2], [0, 1, 2]), ([2], [1, 2]), ([], [])):
        assert [chunk.idx for chunk in read.sources(numbers)] == chunks


class Failing:
    """A job of several chunks of which the last one is refused."""

    def __init__(self, house: House, model: str) -> None:
        self.house = house
        sound, said = recording(75.0, seed=17)
        late = next(word for word in reversed(said) if said.count(word) == 1)
        self.id = house.submit(sound, model=model, prompt=f"oracle: fail=99 at={late} error=refused")["id"]
        self.path = f"{JOBS}/{self.id}/segments?limit=1000"

    def read(self, **query: Any) -> Any:
        return self.house.get(self.path, params=query or None)

    def first_page(self) -> Any:
        """As soon as there is something on it; what other tests have left in the house may be heard before."""
        for _ in range(20):
            self.house.work(chunks=1)
            if (page := self.read().json())["data"]:
                break
        return page

    @property
    def captured(self) -> float:
        return self.house.get(f"{JOBS}/{self.id}").json()["cost"]["captured"]


def test_what_was_listed_is_paid_and_the_rest_has_a_price(house: House) -> None:
    began_with = house.services.ledger.balance(house.account_id)
    job = Failing(house, "oracle-priced")
    first = job.first_page()
    assert first["data"] and not first["complete"]
    house.work()
    assert house.get(f"{JOBS}/{job.id}").json()["status"] == "failed"
    paid = job.captured
    assert 0 < paid < 0.0075
    again = job.read().json()
    assert (again["data"], again["has_more"], again["complete"]) == (first["data"], True, False)
    refused = job.read(after=first["data"][-1]["id"])
    assert refused.status_code == 402
    error = refused.json()["error"]
    assert (error["code"], error["type"]) == ("payment_required", "invalid_request")
    assert 0 < error["price"] < 0.0075 and f"{JOBS}/{job.id}/pay" in error["message"]
    assert job.captured == paid
    for _ in range(2):
        answer = house.post(f"{JOBS}/{job.id}/pay")
        assert answer.status_code == 200, answer.text
        assert answer.json()["cost"]["captured"] == pytest.approx(paid + error["price"])
    whole = job.read().json()
    assert whole["data"][: len(first["data"])] == first["data"] and len(whole["data"]) > len(first["data"])
    assert whole["complete"] is True
    assert house.services.ledger.check() == []
    assert (began_with - house.services.ledger.balance(house.account_id)) / 1_000_000 == job.captured


def test_a_search_hands_out_too(house: House) -> None:
    job = Failing(house, "oracle-priced")
    house.work()
    assert job.captured == 0
    word = recording(75.0, seed=17)[1][0]
    assert job.read(q=word).status_code == 402
    assert job.read(q="nobody says this").json()["data"] == []
    assert job.captured == 0


def test_what_is_free_is_read_without_more_ado(house: House) -> None:
    job = Failing(house, "oracle")
    house.work()
    answer = job.read()
    assert answer.json()["data"] and answer.json()["complete"]


def test_a_job_that_has_not_failed_is_not_paid_for(house: House) -> None:
    job = house.submit()
    answer = house.post(f"{JOBS}/{job['id']}/pay")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "wrong_state")
    assert house.post(f"{JOBS}/job_unknown/pay").status_code == 404
