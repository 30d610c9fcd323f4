"""What can go wrong on purpose: one class, a status, a code, and words that say what to do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ErrorCode:
    """A documented kind of refusal: its HTTP status and what it means to the caller."""

    code: str
    status: int
    meaning: str


def _codes(*rows: tuple[str, int, str]) -> dict[str, ErrorCode]:
    return {code: ErrorCode(code, status, meaning) for code, status, meaning in rows}


CODES = _codes(
    ("invalid_request", 400, "The request is not valid HTTP or not valid for this path."),
    ("invalid_json", 400, "The body is not a JSON object that can be read."),
    ("invalid_encoding", 400, "The body's content-encoding is unknown or its data is damaged."),
    ("cannot_translate", 400, "The request has something in it that the provider's protocol cannot say."),
    ("missing_model", 400, "The body names no model."),
    ("private_address", 400, "The address is one of a private network, which is not allowed here."),
    ("missing_key", 401, "No key was sent."),
    ("invalid_key", 401, "The key is unknown."),
    ("key_disabled", 401, "The key was disabled by its owner or the operator."),
    ("key_expired", 401, "The key's expiry has passed."),
    ("not_signed_in", 401, "This needs a session or a management key."),
    ("wrong_credentials", 401, "The e-mail address and the password do not belong together, or may not sign in."),
    ("account_disabled", 401, "The account that the key belongs to was disabled."),
    ("insufficient_funds", 402, "The account cannot pay for this request."),
    ("model_not_priced", 402, "The model has no price and the operator has not marked it free."),
    ("budget_exceeded", 402, "A spending cap of the key or the account is used up."),
    ("forbidden", 403, "The caller may not do this."),
    ("model_not_allowed", 403, "The key may not use this model."),
    ("wire_not_allowed", 403, "The key may not use this path."),
    ("refused_by_rule", 403, "A rule of the account or of the operator refuses this request; its message says why."),
    ("address_not_allowed", 403, "The key may not be used from this address."),
    ("csrf_refused", 403, "The request did not show the session's CSRF token, or came from another site."),
    ("not_found", 404, "There is nothing at this path."),
    ("model_not_found", 404, "No channel serves this model."),
    ("no_channel", 404, "No channel speaks this protocol."),
    ("method_not_allowed", 405, "The path exists, the method does not."),
    ("request_timeout", 408, "The request did not arrive in time."),
    ("conflict", 409, "It exists already, or is in a state in which this cannot be done."),
    ("idempotency_conflict", 409, "This idempotency key was used for another request, or that request is still running."),
    ("price_jump", 409, "The new price is far from the one in force and waits to be confirmed."),
    ("body_too_large", 413, "The body is larger than the limit."),
    ("url_too_long", 414, "The URL is longer than the limit."),
    ("upgrade_required", 426, "This path is not served over WebSocket; use POST."),
    ("too_many_requests", 429, "A limit was reached; wait as long as retry-after says."),
    ("daily_quota", 429, "What the provider gives for nothing is used up for today."),
    ("out_of_capacity", 429, "The provider has no room for the request at the moment; try again shortly."),
    ("headers_too_large", 431, "The headers are larger than the limit."),
    ("internal_error", 500, "Penstock failed; the request id finds the log line."),
    ("wrong_secret_key", 500, "A secret in the database was sealed with another key than this node has."),
    ("database_away", 503, "The database cannot be reached at the moment."),
    ("upstream_refused", 502, "The provider could not be connected to."),
    ("upstream_broken", 502, "The provider closed or broke the connection before it answered."),
    ("upstream_invalid", 502, "The provider failed, or its answer is not valid HTTP or not what it should be."),
    ("upstream_redirect", 502, "The provider answered with a redirect: the channel's base URL is wrong."),
    ("all_channels_down", 503, "Every channel that serves the model has failed of late and is left alone for a while."),
    ("overloaded", 503, "Penstock is at one of its limits; try again."),
    ("shutting_down", 503, "Penstock is stopping; try again elsewhere."),
    ("books_unavailable", 503, "Charges cannot be made durable; nothing billable is accepted."),
    ("upstream_timeout", 504, "The provider did not answer in time."),
)


class PenstockError(Exception):
    """A refusal or failure that is shown to the caller, in the caller's dialect.

    `code` is a key of `CODES` and decides the status, unless `status` is given; `message` says what to do about it and never
    contains a secret. `param` names the offending field. `retry_after_s` becomes `retry-after`.
    """

    def __init__(
        self, code: str, message: str, *, param: str | None = None, retry_after_s: int | None = None, status: int | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status or CODES[code].status
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s
