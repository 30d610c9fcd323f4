"""The doctor: what it finds, and that every finding that is not well comes with a remedy."""

from __future__ import annotations

import os
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version

import pytest
from pydantic import SecretStr
from sqlalchemy import select, text

from mail_server import serve_mail
from penstock import doctor
from penstock.billing.models import Worker
from penstock.doctor import Finding, examine
from penstock.infra import schema
from penstock.infra.database import Database
from penstock.settings import Settings


@pytest.fixture
def settings(tmp_path, database_url):
    """Settings under which all is well."""
    (tmp_path / "data").mkdir(mode=0o700)
    return Settings(data=tmp_path / "data", database_url=database_url, port=0)


@pytest.fixture
def settings_without_database(tmp_path):
    """Settings for what does not look at the database."""
    return Settings(data=tmp_path / "data", port=0)


@pytest.fixture
def listener():
    """A socket that is listened on and never answered."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


@pytest.fixture
def serve_root():
    """Serves a body at / in a thread; returns the port."""
    servers = []

    def start(body):
        class Root(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = HTTPServer(("127.0.0.1", 0), Root)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server.server_port

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def changed(settings, **facts):
    return settings.model_copy(update=facts)


async def find(settings, check) -> Finding:
    (found,) = (finding for finding in await examine(settings) if finding.check == check)
    return found


async def add_workers(database, silent_ms):
    """Workers that were seen so long ago."""
    async with database.session() as session:
        now_ms = await session.scalar(select(database.now_ms))
        for worker, age_ms in silent_ms.items():
            session.add(Worker(id=worker, node="here", pid=1, started_at_ms=now_ms, seen_at_ms=now_ms - age_ms))


async def test_all_is_well(settings):
    findings = await examine(settings)
    checks = [
        "settings",
        "data",
        "disk",
        "database",
        "workers",
        "journal",
        "records",
        "port",
        "certificates",
        "uvicorn",
        "hot path",
        "clock",
    ]
    assert [finding.check for finding in findings] == checks
    assert [finding for finding in findings if not finding.well] == []


async def test_a_data_folder_that_is_yet_to_be_made(settings, tmp_path):
    found = await find(changed(settings, data=tmp_path / "a" / "b"), "data")
    assert found.well
    assert not (tmp_path / "a").exists()


async def test_a_data_folder_that_others_may_read(settings):
    settings.data.chmod(0o755)
    assert (await find(settings, "data")).remedy == f"Close it: chmod o-rwx {settings.data}"


async def test_a_database_that_others_may_read(settings):
    (settings.data / "penstock.db").touch(mode=0o644)
    assert (await find(settings, "data")).remedy.endswith("penstock.db")


async def test_a_data_folder_that_is_a_file(settings, tmp_path):
    (tmp_path / "file").touch()
    assert not (await find(changed(settings, data=tmp_path / "file"), "data")).well


async def test_a_data_folder_that_cannot_be_written_to(settings):
    # /proc can be written to by nobody, root included.
    place = "/proc/self" if os.geteuid() else "/proc/fs"
    found = await find(changed(settings, data=settings.data.__class__(place) / "x" / "y"), "data")
    assert found.check == "data"


async def test_a_database_that_was_not_migrated(settings, empty_database_url):
    found = await find(changed(settings, database_url=empty_database_url), "database")
    assert "yet to be made" in found.found
    assert "penstock migrate" in found.remedy


async def test_a_database_that_is_away(settings, database, outage):
    async with outage():
        found = await find(settings, "database")
    assert not found.well


@pytest.mark.parametrize("new_database_url", ["postgresql"], indirect=True)
async def test_an_outage_does_not_hide_the_other_findings(settings, database, outage):
    async with outage():
        ill = [finding.check for finding in await examine(settings) if not finding.well]
    assert ill == ["database"]


async def test_a_newer_database(settings, database):
    async with database.session() as session:
        await session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    found = await find(settings, "database")
    assert "newer" in found.found
    assert not found.well


async def test_workers_that_are_seen(settings, database):
    assert (await find(settings, "workers")).found == "none runs"
    await add_workers(database, {"wrk_1": 0, "wrk_2": 900})
    assert await find(settings, "workers") == Finding("workers", "2 on 1 nodes")


async def test_workers_that_were_not_seen_for_long(settings, database):
    await add_workers(database, {"wrk_1": 0, "wrk_2": 60_500, "wrk_3": 3_600_500})
    found = await find(settings, "workers")
    assert found.found == "2 of 3 were not seen for 3600 s"
    assert "penstock serve" in found.remedy


async def test_workers_cannot_be_known_before_there_is_a_table(settings, empty_database_url):
    assert (await find(changed(settings, database_url=empty_database_url), "workers")).well


async def test_where_records_are_kept(settings_without_database, tmp_path, monkeypatch):
    settings = settings_without_database
    found = await find(settings, "records")
    assert found.well
    assert str(tmp_path / "data" / "records") in found.found
    elsewhere = settings.model_copy(update={"records_url": f"file://{tmp_path}/elsewhere"})
    assert str(tmp_path / "elsewhere") in (await find(elsewhere, "records")).found
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "placeholder")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "placeholder")
    found = await find(settings.model_copy(update={"records_url": "s3://bucket/records"}), "records")
    assert not found.well
    assert "PENSTOCK_RECORDS_URL" in found.remedy
    assert not (tmp_path / "data").exists()


async def test_a_journal_that_waits_for_the_database(settings):
    (settings.data / "journal").mkdir()
    (settings.data / "journal" / "charges_1.journal").touch()
    assert (await find(settings, "journal")).well
    (settings.data / "journal" / "charges_2.journal").write_text("00000000 {}\n")
    found = await find(settings, "journal")
    assert found.found == "1 have charges that the database is yet to take, 12 bytes"
    assert found.remedy
    (settings.data / "journal" / "charges_3.damaged").touch()
    found = await find(settings, "journal")
    assert "charges_3.damaged" in found.found
    assert found.remedy


async def test_a_mail_server(settings):
    async with serve_mail() as server:
        given = changed(settings, smtp_url=SecretStr(server.url), mail_from="gateway@example.com")
        assert await find(given, "mail") == Finding("mail", "the mail server lets us in")
    found = await find(given, "mail")
    assert "cannot be used: ConnectionRefusedError" in found.found
    assert not found.well


async def test_registration_without_a_mail_server(settings):
    assert not (await find(changed(settings, registration="open"), "mail")).well
    assert (await find(changed(settings, registration="invite"), "mail")).well


async def test_a_port_that_others_use(settings, serve_root):
    found = await find(changed(settings, port=serve_root(b'{"name": "other"}')), "port")
    assert "another program" in found.found
    assert not found.well


async def test_a_port_that_we_serve(settings, serve_root):
    found = await find(changed(settings, port=serve_root(b'{"name": "penstock", "version": "1.2.3"}')), "port")
    assert found.well
    assert found.found.endswith("served by Penstock 1.2.3")


async def test_an_address_that_is_not_ours(settings):
    found = await find(changed(settings, host="192.0.2.1"), "port")
    assert "cannot be listened on" in found.found
    assert not found.well


async def test_a_ca_file(settings, tmp_path):
    path = tmp_path / "ca.pem"
    assert not (await find(changed(settings, ca_file=path), "certificates")).well
    path.write_text("not a certificate")
    assert not (await find(changed(settings, ca_file=path), "certificates")).well


async def test_a_good_ca_file(settings, tmp_path):
    import trustme  # noqa: PLC0415  only here

    path = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    assert (await find(changed(settings, ca_file=path), "certificates")).well


async def test_providers_are_looked_at_when_we_have_their_key(settings, listener):
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    given = Settings(openai_api_key="x", anthropic_api_key="x", openai_base_url=url, anthropic_base_url=url)
    facts = {name: getattr(given, name) for name in ("openai_api_key", "anthropic_api_key", "openai_base_url", "anthropic_base_url")}
    assert (await find(changed(settings, **facts), "openai")).well
    assert "ends in /v1" in (await find(changed(settings, **facts), "anthropic")).found


async def test_a_provider_that_cannot_be_connected_to(settings):
    with socket.socket() as taken:  # bound, not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        given = Settings(openai_api_key="x", openai_base_url=url)
        found = await find(changed(settings, openai_api_key=given.openai_api_key, openai_base_url=url), "openai")
    assert "cannot be connected to" in found.found
    assert "PENSTOCK_OPENAI_BASE_URL" in found.remedy


def test_the_uvicorn_that_is_installed_is_the_one_the_edge_was_proved_on():
    assert version("uvicorn").startswith(f"{doctor.UVICORN}.")


async def test_nothing_is_changed(tmp_path):
    settings = Settings(data=tmp_path / "data", port=0)
    await examine(settings)
    assert list(tmp_path.iterdir()) == []
    assert schema.head()
    assert Database(settings.database_url).path == tmp_path / "data" / "penstock.db"
