"""Every refusal has a documented code, and its code decides its status."""

from __future__ import annotations

import pytest

from penstock.kit.errors import CODES, PenstockError


@pytest.mark.parametrize("code", CODES)
def test_a_code_says_what_it_means(code: str) -> None:
    known = CODES[code]

    assert known.code == code
    assert 400 <= known.status <= 599
    assert known.meaning.endswith(".")


def test_the_code_decides_the_status() -> None:
    error = PenstockError("model_not_found", "There is no such model.", param="model", retry_after_s=3)

    assert (error.status, error.code, error.message, error.param, error.retry_after_s) == (
        404, "model_not_found", "There is no such model.", "model", 3,
    )  # fmt: skip
    assert str(error) == "There is no such model."


def test_an_unknown_code_is_a_mistake_of_ours() -> None:
    with pytest.raises(KeyError):
        PenstockError("no_such_code", "never shown")
