"""How long an archive will take is guessed by what was heard of each kind."""

from cli.archive.audio_estimate import AudioEstimate


def test_nothing_is_guessed_before_anything_was_heard() -> None:
    assert AudioEstimate({".mp3": 10}).left_ms == 0


def test_each_ending_is_as_dense_as_what_was_heard_of_it() -> None:
    estimate = AudioEstimate({".mp3": 300, ".flac": 3000})
    estimate.heard("a.mp3", 100, 1000)
    estimate.heard("b.FLAC", 1000, 1000)
    assert estimate.left_ms == 2000 + 2000


def test_an_ending_nobody_heard_yet_is_as_dense_as_all_others_together() -> None:
    estimate = AudioEstimate({".mp3": 100, ".flac": 100, ".opus": 50})
    estimate.heard("a.mp3", 100, 3000)
    estimate.heard("b.flac", 100, 1000)
    assert estimate.left_ms == 50 * 4000 / 200


def test_what_could_not_be_heard_has_no_sound_and_is_not_left() -> None:
    estimate = AudioEstimate({".mp3": 200})
    estimate.heard("broken.mp3", 100, 0)
    estimate.heard("whole.mp3", 100, 1000)
    assert estimate.left_ms == 0
