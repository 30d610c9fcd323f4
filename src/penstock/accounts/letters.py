"""Letters: what is written to people about their accounts. Links carry their token behind `#`, where no server and no log sees it."""

from __future__ import annotations

from penstock.accounts.tickets import LASTS_MS, Kind
from penstock.infra.mail import Letter

_HOUR_MS = 3600 * 1000


class Letters:
    """Writes letters with links to the gateway at `url`."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def link(self, page: str, token: str) -> str:
        """Where someone goes on who has a token: to a page of the console."""
        return f"{self._url}/{page}#{token}"

    def invitation(self, to: str, token: str) -> Letter:
        """To someone who was invited."""
        return self._letter(to, "Your invitation", "You have been invited to an account.", "join", token, "invite")

    def confirmation(self, to: str, token: str) -> Letter:
        """To someone who wants an account, to prove that the address is theirs."""
        return self._letter(to, "Your account", "Someone, you we hope, asked for an account with this address.", "join", token, "confirm")

    def new_email(self, to: str, token: str) -> Letter:
        """To the address that an account is to have."""
        opening = "Someone, you we hope, wants to use this address for their account."
        return self._letter(to, "Your new e-mail address", opening, "confirm-email", token, "confirm")

    def reset(self, to: str, token: str) -> Letter:
        """To someone who has forgotten their password."""
        opening = "Someone, you we hope, asked for a new password for your account."
        return self._letter(to, "Your new password", opening, "reset", token, "reset")

    def already(self, to: str) -> Letter:
        """To someone who has an account and was about to get another one."""
        text = (
            f"Someone, you we hope, wanted an account with this address at\n  {self._url}\n\nThere is one already. Sign in with it; if you "
            "have forgotten the password, ask for a new one there.\n\nIf it was not you, do nothing.\n"
        )
        return Letter(to, "You have an account", text)

    def moved(self, to: str) -> Letter:
        """To the address that an account had until now."""
        text = (
            f"Your account at\n  {self._url}\nhas another e-mail address from now on. This one no longer signs in.\n\n"
            "If it was not you who changed it, write to whoever runs the gateway at once.\n"
        )
        return Letter(to, "Your e-mail address was changed", text)

    def _letter(self, to: str, subject: str, opening: str, page: str, token: str, kind: Kind) -> Letter:
        hours = LASTS_MS[kind] // _HOUR_MS
        lasts = "an hour" if hours == 1 else f"{hours} hours"
        text = (
            f"{opening} Open this link to go on:\n  {self.link(page, token)}\n\nIt works once, within {lasts}. "
            "If it was not you, do nothing.\n"
        )
        return Letter(to, subject, text)
