"""Settings: one frozen object, read once from the environment and an optional TOML file, passed down.

Every field is documented in docs/settings.md; a test insists. Names are `PENSTOCK_` + the field in capitals; a few also
answer to the names that their users already have (`OPENAI_API_KEY`, `API_LOGGING` ...).
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator

from penstock.kit.networks import parse_network
from penstock.native import SWITCH

PREFIX = "PENSTOCK_"
ALIASES: dict[str, tuple[str, ...]] = {
    "openai_api_key": ("OPENAI_API_KEY", "OPENAPI_API_KEY"),
    "openai_base_url": ("OPENAI_BASE_URL",),
    "anthropic_api_key": ("ANTHROPIC_API_KEY",),
    "anthropic_base_url": ("ANTHROPIC_BASE_URL",),
    "gemini_api_key": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "openrouter_api_key": ("OPENROUTER_API_KEY",),
    "deepseek_api_key": ("DEEPSEEK_API_KEY",),
    "mistral_api_key": ("MISTRAL_API_KEY",),
    "groq_api_key": ("GROQ_API_KEY",),
    "xai_api_key": ("XAI_API_KEY",),
    "together_api_key": ("TOGETHER_API_KEY",),
    "fireworks_api_key": ("FIREWORKS_API_KEY",),
    "cloudflare_account_id": ("CLOUDFLARE_ACCOUNT_ID",),
    "cloudflare_api_token": ("CLOUDFLARE_API_TOKEN",),
    "cloudflare_base_url": ("CLOUDFLARE_BASE_URL",),
    "default_image_model": ("DEFAULT_IMAGE_MODEL",),
    "default_image_size": ("DEFAULT_IMAGE_SIZE",),
    "max_image_count": ("MAX_IMAGE_COUNT",),
    "proxy_api_key": ("PROXY_API_KEY",),
    "access_token": ("ACCESS_TOKEN",),
    "api_sec_key": ("API_SEC_KEY",),
    "api_logging": ("API_LOGGING",),
    "api_model_rewrite": ("API_MODEL_REWRITE",),
    "otel_endpoint": ("OTEL_EXPORTER_OTLP_ENDPOINT",),
}
"""Further environment names of a field, after `PENSTOCK_` + its name; the first that is not empty counts."""

REWRITE_REFUSED = (
    "Invalid model rewrite configuration. Format should be 'model1=>model2,model3=>model4' / "
    "模型重写配置无效，格式应为 'model1=>model2,model3=>model4'"
)
# What Kubernetes puts into the environment of every pod when a service is called penstock.
_SERVICE_LINK = re.compile(r"PENSTOCK_(SERVICE_(HOST|PORT).*|PORT_\d+_(TCP|UDP).*)")


class SettingsError(Exception):
    """The settings cannot be used; `problems` says why, one line each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


def parse_rewrites(text: str) -> dict[str, str]:
    """`a=>b,c=>d` as a mapping; blanks around names and empty items are allowed. Raises ValueError, in two languages."""
    rewrites: dict[str, str] = {}
    for item in text.split(","):
        if not item.strip():
            continue
        source, arrow, target = (part.strip() for part in item.partition("=>"))
        if not arrow or not source or not target or "=>" in target:
            raise ValueError(REWRITE_REFUSED)
        rewrites[source] = target
    return rewrites


class Settings(BaseModel):
    """All settings. `load` reads them; made directly, they are the defaults and what is given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    workers: int = Field(1, ge=1, le=256)
    data: Path = Path("data")
    database_url: str = Field("", repr=False)
    config: Path | None = None
    demo: bool = False
    own_keys: bool = False

    openai_api_key: SecretStr | None = None
    openai_base_url: str = "https://api.openai.com/v1"
    anthropic_api_key: SecretStr | None = None
    anthropic_base_url: str = "https://api.anthropic.com"
    gemini_api_key: SecretStr | None = None
    gemini_base_url: str = "https://generativelanguage.googleapis.com"
    openrouter_api_key: SecretStr | None = None
    deepseek_api_key: SecretStr | None = None
    mistral_api_key: SecretStr | None = None
    groq_api_key: SecretStr | None = None
    xai_api_key: SecretStr | None = None
    together_api_key: SecretStr | None = None
    fireworks_api_key: SecretStr | None = None
    cloudflare_account_id: str = ""
    cloudflare_api_token: SecretStr | None = Field(None, validate_default=True)
    cloudflare_base_url: str = "https://api.cloudflare.com/client/v4/accounts/{account_id}/ai"
    default_image_model: str = ""
    default_image_size: str = "1024x1024"
    max_image_count: int = Field(1, ge=1, le=4)
    proxy_api_key: SecretStr | None = None
    ca_file: Path | None = None

    secret_key: SecretStr | None = None
    access_token: SecretStr | None = None
    api_sec_key: SecretStr | None = None
    api_logging: str = ""
    api_model_rewrite: str = ""

    public_url: str = ""
    registration: Literal["off", "invite", "open"] = "off"
    smtp_url: SecretStr | None = None
    mail_from: str = Field("", validate_default=True)

    body_limit: int = Field(64 * 1024 * 1024, ge=1024)
    header_limit: int = Field(64 * 1024, ge=1024)
    url_limit: int = Field(16 * 1024, ge=256)
    client_head_s: float = Field(30, gt=0)
    client_body_s: float = Field(60, gt=0)
    client_stall_s: float = Field(120, gt=0)
    keep_alive_s: float = Field(75, gt=0)
    connection_limit: int = Field(20_000, ge=1)
    trusted_proxies: str = ""

    connect_s: float = Field(10, gt=0)
    first_byte_s: float = Field(600, gt=0)
    idle_s: float = Field(300, gt=0)
    total_s: float = Field(3600, gt=0)
    retries: int = Field(2, ge=0, le=10)
    retry_within_s: float = Field(20, ge=0)
    upstream_connections: int = Field(4096, ge=1)
    upstream_keep_alive_s: float = Field(30, gt=0)
    upstream_head_limit: int = Field(128 * 1024, ge=1024)
    discover_s: float = Field(3600, ge=0)
    on_disconnect: Literal["cancel", "drain"] = "cancel"
    drain_s: float = Field(60, gt=0)
    drain_limit: int = Field(16 * 1024 * 1024, ge=1024)
    drains: int = Field(64, ge=0)

    comment_every_s: float = Field(15, gt=0)
    show_cost: bool = False
    show_channel: bool = False
    show_overhead: bool = False
    show_timing: bool = False

    default_output_tokens: int = Field(4096, ge=1)
    price_jump_factor: int = Field(4, ge=2, le=1000)
    lease_s: float = Field(10, ge=3)
    lease_least_nano: int = Field(50_000_000, ge=1)
    lease_most_nano: int = Field(5_000_000_000, ge=1)
    funds_wait_s: float = Field(0.4, ge=0, le=10)
    durability: Literal["process", "power"] = "process"
    display_units: int = Field(1, ge=1, le=1_000_000)

    rules_limit: int = Field(500, ge=0, le=10_000)
    operator_rules_limit: int = Field(5000, ge=0, le=100_000)

    record: bool = False
    record_body_limit: int = Field(1024 * 1024, ge=0)
    record_queue_limit: int = Field(16 * 1024 * 1024, ge=0)
    records_url: str = ""
    records_encrypt: bool = False
    records_days: int = Field(30, ge=0, le=36_500)
    records_size_limit: int = Field(10 * 1024**3, ge=0)

    log_format: Literal["console", "json"] = "console"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    slow_s: float = Field(0, ge=0)
    otel_endpoint: str = ""
    otel_propagate: bool = False
    otel_content: bool = False
    stop_s: float = Field(30, ge=0)

    @field_validator("api_model_rewrite")
    @classmethod
    def _rewrites_parse(cls, value: str) -> str:
        parse_rewrites(value)
        return value

    @field_validator("cloudflare_account_id")
    @classmethod
    def _is_account(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_-]{0,64}", value):
            raise ValueError("it must be the id of an account: 32 letters and digits, as in the address of Cloudflare's dashboard")
        return value

    @field_validator("cloudflare_api_token")
    @classmethod
    def _has_account(cls, value: SecretStr | None, known: ValidationInfo) -> SecretStr | None:
        if bool(value) != bool(known.data.get("cloudflare_account_id", value)):
            raise ValueError("cloudflare_account_id and cloudflare_api_token go together: one of them is not set")
        return value

    @field_validator("default_image_size")
    @classmethod
    def _is_size(cls, value: str) -> str:
        if not re.fullmatch(r"[1-9]\d{0,4}x[1-9]\d{0,4}", value):
            raise ValueError("it must be a width and a height, such as 1024x1024")
        return value

    @field_validator("openai_base_url", "anthropic_base_url", "gemini_base_url", "cloudflare_base_url", "otel_endpoint")
    @classmethod
    def _is_http(cls, value: str, about: ValidationInfo) -> str:
        parts = urlsplit(value)
        if value == "" and about.field_name == "otel_endpoint":
            return value
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise ValueError("it must be a URL such as https://api.example.com/v1")
        return value

    @field_validator("secret_key")
    @classmethod
    def _is_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value:
            from penstock.infra.secrets import read_key  # noqa: PLC0415  heavy, and few commands need it

            read_key(value.get_secret_value())
        return value

    @field_validator("public_url")
    @classmethod
    def _is_origin(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (
            parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment
        ):
            raise ValueError("it must be a URL without a path, such as https://gateway.example.com")
        return value.rstrip("/")

    @field_validator("smtp_url")
    @classmethod
    def _is_smtp(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            from penstock.infra.mail import read_smtp_url  # noqa: PLC0415  heavy, and few commands send mail

            read_smtp_url(value.get_secret_value())
        return value

    @field_validator("mail_from")
    @classmethod
    def _is_sender(cls, value: str, known: ValidationInfo) -> str:
        if value or known.data.get("smtp_url") is not None:
            from penstock.infra.mail import read_sender  # noqa: PLC0415  as above

            read_sender(value)
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        return ",".join(parse_network(network) for network in value.split(",") if network.strip())

    @field_validator("data", "ca_file")
    @classmethod
    def _at_home(cls, value: Path | None) -> Path | None:
        return value.expanduser() if value else value

    @model_validator(mode="after")
    def _database_named(self) -> Settings:
        if not self.database_url:
            self.__dict__["database_url"] = f"sqlite:///{quote(str(self.data / 'penstock.db'))}"
        return self

    @field_validator("records_url")
    @classmethod
    def _is_store(cls, value: str) -> str:
        if value and not re.fullmatch(r"(?:s3|gs|az)://[^/?#@]+(?:/[^?#]*)?|file:///[^?#]+", value):
            raise ValueError("it must be s3://bucket/folder, gs://bucket/folder, az://container/folder or file:///folder")
        return value

    @field_validator("database_url")
    @classmethod
    def _database_known(cls, value: str) -> str:
        if value and not value.startswith(("sqlite:///", "postgresql://", "postgres://")):
            raise ValueError("it must be sqlite:///path or postgresql://user:password@host/name")
        return value

    @property
    def rewrites(self) -> dict[str, str]:
        """Public model name to the name that is sent: `API_MODEL_REWRITE`."""
        return parse_rewrites(self.api_model_rewrite)

    @property
    def trusted(self) -> tuple[str, ...]:
        """The networks of proxies that are believed whom they forward for: `trusted_proxies`."""
        return tuple(self.trusted_proxies.split(",")) if self.trusted_proxies else ()

    @property
    def records_all(self) -> bool:
        """Every exchange is recorded, whatever its key says: `record = true` or `API_LOGGING=enabled`."""
        return self.record or self.api_logging == "enabled"

    @property
    def transparent(self) -> bool:
        """No provider credential is configured: requests are forwarded with the client's own."""
        secrets = (field for field in type(self).model_fields if field.endswith("_api_key") and field != "proxy_api_key")
        return not (self.demo or self.own_keys or self.cloudflare_api_token or any(getattr(self, field) for field in secrets))

    @property
    def open(self) -> bool:
        """No key is asked for: there is a Workers AI account and nothing else, as its proxy has always been used."""
        secrets = (field for field in type(self).model_fields if field.endswith("_api_key"))
        guarded = self.demo or self.own_keys or self.access_token or any(getattr(self, field) for field in secrets)
        return bool(self.cloudflare_api_token) and not guarded


def names(field: str) -> tuple[str, ...]:
    """The environment names of a field, the one that counts first."""
    return (PREFIX + field.upper(), *ALIASES.get(field, ()))


def load(**given: Any) -> Settings:
    """The settings of this process; `given` are command-line values, None meaning not given.

    They win over the environment, which wins over the TOML file named by `config`. An empty value is one that is not
    given. Raises SettingsError, which names all that is wrong.
    """
    given = {field: value for field, value in given.items() if value is not None}
    named, problems = _from_environment(os.environ)
    environment = {field: os.environ[name] for field, name in named.items()}
    path = given.get("config") or environment.get("config")
    try:
        file = _from_file(Path(path).expanduser()) if path else {}
    except (OSError, ValueError) as failure:
        problems.append(f"{path}: {getattr(failure, 'strerror', None) or failure}")
        file = {}
    origins = {**{field: f"{path}: {field}" for field in file}, **named, **{field: f"--{field.replace('_', '-')}" for field in given}}
    try:
        settings = Settings(**{**file, **environment, **given})
    except ValidationError as invalid:
        problems += [_in_words(str(error["loc"][0]), error["type"], error["msg"], origins) for error in invalid.errors()]
        raise SettingsError(problems) from None
    if problems:
        raise SettingsError(problems)
    return settings


def _from_environment(environment: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Which variable gives each field that is set, and what is wrong with those that are called like ours."""
    named: dict[str, str] = {}
    for field in Settings.model_fields:
        for name in reversed(names(field)):
            if environment.get(name):
                named[field] = name
    ours = {names(field)[0] for field in Settings.model_fields}
    unknown = (
        name for name in environment if name.startswith(PREFIX) and name not in {*ours, SWITCH} and not _SERVICE_LINK.fullmatch(name)
    )
    return named, [f"{name}: {_no_such(name, ours)}" for name in sorted(unknown)]


def _from_file(path: Path) -> dict[str, Any]:
    return {field: value for field, value in tomllib.loads(path.read_text(encoding="utf-8")).items() if value != ""}


def _in_words(field: str, kind: str, message: str, origins: Mapping[str, str]) -> str:
    # The value is not shown: it may be a secret, in the wrong place even.
    words = _no_such(field, Settings.model_fields) if kind == "extra_forbidden" else message.removeprefix("Value error, ")
    return f"{origins.get(field, field)}: {words}"


def _no_such(name: str, known: Iterable[str]) -> str:
    meant = {other.removeprefix(PREFIX): other for other in known}
    near = difflib.get_close_matches(name.removeprefix(PREFIX), meant, n=1)
    return "there is no such setting" + (f"; did you mean {meant[near[0]]}?" if near else "")
