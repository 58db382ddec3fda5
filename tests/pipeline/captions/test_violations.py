"""What captions break of their rules is counted by rule."""

from pipeline.captions.layout import Cue, cues
from pipeline.captions.options import Layout
from pipeline.captions.violations import violations
from pipeline.transcript import Segment, Word


def test_each_rule_by_itself() -> None:
    layout = Layout()
    good = Cue(0, 2000, ("good morning",))
    assert violations([good, Cue(2084, 4000, ("all of you",))], layout) == {}
    assert violations([Cue(0, 5000, ("x" * 43,))], layout) == {"line_too_long": 1}
    assert violations([Cue(0, 2000, ("a", "b", "c"))], layout) == {"too_many_lines": 1}
    assert violations([Cue(0, 832, ("a",))], layout) == {"too_short": 1}
    assert violations([Cue(0, 7001, ("a",))], layout) == {"too_long": 1}
    assert violations([Cue(0, 1000, ("x" * 21,))], layout) == {"too_fast": 1}
    assert violations([good, Cue(2010, 4000, ("b",))], layout) == {"gap_too_short": 1}
    assert violations([good, Cue(1000, 4000, ("b",))], layout) == {}, "two who speak at once"


def test_narrower_lines_break_more_of_them() -> None:
    words = tuple(Word("internationalisation", 600 * at, 600 * at + 500) for at in range(20))
    segment = Segment(" ".join(word.text for word in words), 0, 12_000, words)
    wide, narrow = Layout(), Layout(max_line_chars=10, max_lines=1)
    found = [violations(cues([segment], layout), layout).total() for layout in (wide, narrow)]
    assert found[0] < found[1]
