"""Letters: each has its link, with the token where logs do not look, and says how long that works."""

from __future__ import annotations

import pytest

from penstock.accounts.letters import Letters
from penstock.infra.logs import Redactor

LETTERS = Letters("https://gateway.test/")
TOKEN = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("letter", "link", "lasts"),
    [
        (LETTERS.invitation("a@b.c", TOKEN), f"https://gateway.test/join#{TOKEN}", "168 hours"),
        (LETTERS.confirmation("a@b.c", TOKEN), f"https://gateway.test/join#{TOKEN}", "48 hours"),
        (LETTERS.new_email("a@b.c", TOKEN), f"https://gateway.test/confirm-email#{TOKEN}", "48 hours"),
        (LETTERS.reset("a@b.c", TOKEN), f"https://gateway.test/reset#{TOKEN}", "an hour"),
    ],
)
def test_letters_with_links(letter, link, lasts):
    assert letter.to == "a@b.c" and letter.subject.isprintable()
    assert f"\n  {link}\n" in letter.text and lasts in letter.text
    assert link in Redactor()(letter.text)  # the console back end writes them into the log


@pytest.mark.parametrize("letter", [LETTERS.already("a@b.c"), LETTERS.moved("a@b.c")])
def test_letters_without(letter):
    assert "https://gateway.test\n" in letter.text and "#" not in letter.text
