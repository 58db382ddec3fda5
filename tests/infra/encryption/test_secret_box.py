"""Secrets are sealed when all can open them, opened in both forms, and never mistaken for each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.encryption.secret_box import MARK, PLAIN, SecretBox, new_key, with_secrets
from infra.webhooks.signature import sign
from infra.webhooks.signing_secrets import new_secret
from pipeline.errors import SecretUnreadable

OLD, NEW = new_key(), new_key()


@given(st.text(max_size=200), st.dictionaries(st.text(max_size=10), st.text(max_size=50), max_size=3))
def test_what_is_sealed_comes_back(text: str, headers: dict[str, str]) -> None:
    box = SecretBox([NEW])
    sealed = box.seal(text)
    assert sealed.startswith(MARK) and (len(text) < 4 or text not in sealed)
    assert box.open(sealed) == text
    source = {"url": text, "headers": headers}
    assert box.open_object(box.seal_object(source)) == source == PLAIN.open_object(PLAIN.seal_object(source))


def test_an_older_key_opens_and_the_newest_seals() -> None:
    before, now = SecretBox([OLD]), SecretBox([NEW, OLD])
    stored = before.seal("secret")
    assert now.open(stored) == "secret"
    assert not now.is_current(stored)
    assert now.is_current(now.seal("secret"))
    with pytest.raises(SecretUnreadable):
        before.open(now.seal("secret"))
    with pytest.raises(SecretUnreadable):
        PLAIN.open(stored)


def test_plain_text_is_read_and_written_while_somebody_cannot_open() -> None:
    box = SecretBox([NEW], may_seal=lambda: False)
    assert box.seal("secret") == "secret" == box.open("secret")
    assert box.seal_object({"url": "u"}) == {"url": "u"}
    assert not box.seals
    assert box.open(SecretBox([NEW]).seal("secret")) == "secret"
    assert PLAIN.seal("secret") == "secret"


def test_nobody_signs_with_what_is_sealed() -> None:
    """Not even code that knows of no sealing: the mark is no beginning of a secret."""
    with pytest.raises(ValueError, match="no prefix"):
        sign([SecretBox([NEW]).seal(new_secret())], "evt_1", 1, b"{}")


def test_answers_are_sealed_where_they_tell_a_secret_and_nowhere_else() -> None:
    box = SecretBox([NEW])
    answer = {"signing_secret": "whsec_1", "webhook": {"url": "u", "secret": "whsec_2"}, "metadata": {"secret": "m"}}
    kept = with_secrets(answer, box.seal)
    assert "whsec_" not in str(kept) and kept["metadata"] == {"secret": "m"}
    assert with_secrets(kept, box.open) == answer
    assert with_secrets({"webhook": None}, box.seal) == {"webhook": None}
