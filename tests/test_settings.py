"""Settings: where values come from, which win, and how what is wrong is said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock import settings
from penstock.settings import REWRITE_REFUSED, Settings, SettingsError, load, parse_rewrites


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    """Nothing of ours is set, whatever the developer has in the shell."""
    for field in Settings.model_fields:
        for name in settings.names(field):
            monkeypatch.delenv(name, raising=False)


@pytest.fixture
def toml(tmp_path):
    """Writes a TOML file and returns its path."""

    def write(text):
        path = tmp_path / "penstock.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def problems(**given):
    with pytest.raises(SettingsError) as refused:
        load(**given)
    return refused.value.problems


def test_defaults():
    found = load()
    assert (found.host, found.port, found.workers, str(found.data)) == ("127.0.0.1", 8080, 1, "data")
    assert found.database_url == "sqlite:///data/penstock.db"
    assert found.transparent
    assert not found.records_all


def test_arguments_win_over_the_environment_over_the_file(monkeypatch, toml):
    path = toml('port = 1\nhost = "file"\nworkers = 2\n')
    monkeypatch.setenv("PENSTOCK_PORT", "3")
    monkeypatch.setenv("PENSTOCK_HOST", "environment")
    found = load(config=path, port=4, host=None)
    assert (found.port, found.host, found.workers) == (4, "environment", 2)


def test_the_file_may_be_named_in_the_environment(monkeypatch, toml):
    monkeypatch.setenv("PENSTOCK_CONFIG", str(toml("port = 1")))
    assert load().port == 1


ALIKE = {"api_model_rewrite": "a=>b", "default_image_size": "512x768", "max_image_count": "3"}
PAIR = {"cloudflare_account_id": "CLOUDFLARE_API_TOKEN", "cloudflare_api_token": "CLOUDFLARE_ACCOUNT_ID"}


@pytest.mark.parametrize(("field", "name"), [(field, name) for field, others in settings.ALIASES.items() for name in others])
def test_names_that_people_have_already(monkeypatch, toml, field, name):
    value = "https://x.test/v1" if field.endswith(("url", "endpoint")) else ALIKE.get(field, "given")
    if field in PAIR:
        monkeypatch.setenv(PAIR[field], "given")
    monkeypatch.setenv(name, value)
    found = getattr(load(config=toml(f'{field} = ""')), field)
    assert str(found.get_secret_value() if hasattr(found, "get_secret_value") else found) == value


def test_our_own_name_wins_over_the_others(monkeypatch, toml):
    monkeypatch.setenv("OPENAPI_API_KEY", "third")
    monkeypatch.setenv("OPENAI_API_KEY", "second")
    assert load().openai_api_key.get_secret_value() == "second"
    monkeypatch.setenv("PENSTOCK_OPENAI_API_KEY", "first")
    assert load(config=toml('openai_api_key = "fourth"')).openai_api_key.get_secret_value() == "first"


def test_empty_means_not_given(monkeypatch, toml):
    monkeypatch.setenv("PENSTOCK_PORT", "")
    monkeypatch.setenv("PENSTOCK_CONFIG", "")
    monkeypatch.setenv("OPENAI_API_KEY", "")
    monkeypatch.setenv("OPENAPI_API_KEY", "used")
    assert load().port == 8080
    assert load().openai_api_key.get_secret_value() == "used"
    assert load(config=toml('anthropic_api_key = ""\ndata = ""')).anthropic_api_key is None


@pytest.mark.parametrize(("text", "value"), [("true", True), ("1", True), ("on", True), ("false", False), ("0", False), ("no", False)])
def test_switches(monkeypatch, text, value):
    monkeypatch.setenv("PENSTOCK_RECORD", text)
    assert load().record is value


def test_a_mistyped_variable_is_refused(monkeypatch):
    monkeypatch.setenv("PENSTOCK_PROT", "1")
    assert problems() == ("PENSTOCK_PROT: there is no such setting; did you mean PENSTOCK_PORT?",)


def test_what_kubernetes_adds_is_ignored(monkeypatch):
    for name in ("PENSTOCK_SERVICE_HOST", "PENSTOCK_SERVICE_PORT_HTTP", "PENSTOCK_PORT_8080_TCP", "PENSTOCK_PORT_8080_TCP_ADDR"):
        monkeypatch.setenv(name, "10.0.0.1")
    assert load().port == 8080


def test_a_mistyped_key_in_the_file_is_refused(toml):
    path = toml("prot = 1")
    assert problems(config=path) == (f"{path}: prot: there is no such setting; did you mean port?",)


@pytest.mark.parametrize(("text", "words"), [("port = ", "Invalid value"), ("port", "Expected '='")])
def test_a_file_that_is_not_toml(toml, text, words):
    path = toml(text)
    (problem,) = problems(config=path)
    assert problem.startswith(f"{path}: {words}")


def test_a_file_that_is_not_there(tmp_path):
    assert problems(config=tmp_path / "none.toml") == (f"{tmp_path / 'none.toml'}: No such file or directory",)


def test_a_file_that_is_not_text(tmp_path):
    path = tmp_path / "latin.toml"
    path.write_bytes(b'host = "\xff"')
    assert len(problems(config=path)) == 1


def test_all_problems_are_named_at_once_by_where_they_are(monkeypatch, toml):
    path = toml("workers = 0")
    monkeypatch.setenv("PENSTOCK_LOG_LEVEL", "loud")
    monkeypatch.setenv("PENSTOCK_TYPO", "1")
    found = problems(config=path, port=70000)
    assert [problem.split(": ")[0] for problem in found] == ["PENSTOCK_TYPO", "--port", str(path), "PENSTOCK_LOG_LEVEL"]


def test_values_are_not_shown(monkeypatch):
    monkeypatch.setenv("PENSTOCK_PORT", "sk-...")
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", "mysql://me:hunter2@host/db")
    text = " ".join(problems())
    assert "sk-" not in text
    assert "hunter2" not in text


def test_the_bilingual_refusal_is_whole(monkeypatch):
    monkeypatch.setenv("API_MODEL_REWRITE", "a=b")
    assert problems() == (f"API_MODEL_REWRITE: {REWRITE_REFUSED}",)


def test_secrets_are_not_in_the_representation():
    text = repr(Settings(openai_api_key="hidden", access_token="hidden", database_url="postgresql://me:hidden@host/db"))
    assert "hidden" not in text


@pytest.mark.parametrize("url", ["", "api.openai.com", "ftp://host", "https://", "http://host:99999", "http://host:0"])
def test_base_urls_that_are_refused(url):
    with pytest.raises(ValueError):
        Settings(openai_base_url=url)


@pytest.mark.parametrize("url", ["mysql://h/d", "sqlite://", "data/penstock.db"])
def test_databases_that_are_refused(url):
    with pytest.raises(ValueError):
        Settings(database_url=url)


@pytest.mark.parametrize(
    "url", ["gateway.example.com", "ftp://gateway.example.com", "https://", "https://gateway.example.com/path", "http://x?a"]
)
def test_public_urls_that_are_refused(url):
    with pytest.raises(ValueError, match="URL without a path"):
        Settings(public_url=url)


def test_a_public_url():
    assert Settings(public_url="https://gateway.example.com/").public_url == "https://gateway.example.com"


def test_a_mail_server_needs_a_sender(monkeypatch):
    monkeypatch.setenv("PENSTOCK_SMTP_URL", "smtp://me:s3cret@mail.example.com")
    assert problems() == ("mail_from: it must be one address to send from, such as gateway@example.com or Gateway <gateway@example.com>",)
    found = load(mail_from="Gateway <gateway@example.com>")
    assert "s3cret" not in repr(found) and found.smtp_url.get_secret_value().endswith("@mail.example.com")
    monkeypatch.setenv("PENSTOCK_SMTP_URL", "http://s3cret@mail.example.com")
    assert problems() == ("PENSTOCK_SMTP_URL: it must be smtp://user:password@host:587 or smtps://user:password@host:465",)


def test_the_default_database_is_in_the_data_folder(tmp_path):
    assert Settings(data=tmp_path).database_url == f"sqlite:///{tmp_path}/penstock.db"
    assert Settings(data="100% mine").database_url == "sqlite:///100%25%20mine/penstock.db"
    assert Settings(database_url="postgresql://me@host/db").database_url == "postgresql://me@host/db"


def test_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Settings(data="~/penstock").data == tmp_path / "penstock"


def test_settings_do_not_change():
    with pytest.raises(ValueError, match="frozen"):
        Settings().port = 1


def test_made_directly_they_do_not_read_the_environment(monkeypatch):
    monkeypatch.setenv("PENSTOCK_PORT", "1")
    assert Settings().port == 8080


def test_who_is_transparent():
    assert not Settings(demo=True).transparent
    assert not Settings(anthropic_api_key="x").transparent
    assert Settings(access_token="x").transparent


def test_who_records_all():
    assert Settings(record=True).records_all
    assert Settings(api_logging="enabled").records_all
    assert not Settings(api_logging="true").records_all


@pytest.mark.parametrize(
    ("text", "rewrites"),
    [("", {}), ("a=>b", {"a": "b"}), (" a => b , ,c=>d,", {"a": "b", "c": "d"}), ("a=>b,a=>c", {"a": "c"}), ("a/b:1=>c", {"a/b:1": "c"})],
)
def test_rewrites(text, rewrites):
    assert parse_rewrites(text) == rewrites
    assert Settings(api_model_rewrite=text).rewrites == rewrites


@pytest.mark.parametrize("text", ["a", "a=b", "=>b", "a=>", "a=>b=>c", "a=>b;c=>d,e"])
def test_rewrites_that_are_refused(text):
    with pytest.raises(ValueError) as refused:
        parse_rewrites(text)
    assert str(refused.value) == REWRITE_REFUSED


@given(st.text(alphabet="ab=>, ", max_size=20))
def test_rewrites_are_whole_or_refused(text):
    try:
        rewrites = parse_rewrites(text)
    except ValueError:
        return
    assert all(source and target and "=>" not in source and "=>" not in target for source, target in rewrites.items())


@pytest.mark.parametrize("field", PAIR)
def test_an_account_of_cloudflares_and_its_token_go_together(toml, field):
    with pytest.raises(SettingsError, match="go together: one of them is not set"):
        load(config=toml(f'{field} = "given"'))


@pytest.mark.parametrize(("field", "value"), [("cloudflare_account_id", "${ID}"), ("default_image_size", "big"), ("max_image_count", 5)])
def test_what_workers_ai_cannot_use(toml, field, value):
    with pytest.raises(SettingsError, match=field):
        load(config=toml(f"{field} = {value!r}"))


def test_workers_ai_is_a_provider_with_a_credential():
    assert not Settings(cloudflare_account_id="a", cloudflare_api_token="given").transparent
    assert Settings(proxy_api_key="given").transparent, "it is a key of our own, and opens no provider"
