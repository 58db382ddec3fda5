"""Who is being asked, told across threads."""

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

from pipeline.resilience.route_watch import RouteWatch, asking


def test_the_last_one_who_was_asked_is_told_from_threads_too() -> None:
    with RouteWatch() as watch, ThreadPoolExecutor(1) as threads:
        assert watch.model == ""
        asking("first")
        assert watch.model == "first"
        threads.submit(copy_context().run, asking, "second").result()
    assert watch.model == "second"


def test_nobody_watches() -> None:
    with RouteWatch() as watch:
        asking("first")
    asking("second")
    assert watch.model == "first"
