import pytest

from pipeline.audio import source


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """No recording is so small that it is read into memory."""
    monkeypatch.setattr(source, "SMALL", 0)
