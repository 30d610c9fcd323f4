"""The parts of a process: made without input or output, started and stopped in order, ready when they are."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from penstock.accounts.identity import CLI
from penstock.app import Parts, build, server_config
from penstock.infra.database import Database
from penstock.relay.edge import Edge
from penstock.rules.service import Rules
from penstock.settings import Settings


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(demo=True, data=tmp_path / "data", database_url=database_url)


async def test_starting_and_stopping_twice(settings):
    for _ in range(2):
        parts = Parts(settings)
        async with parts.running():
            assert [channel.name for channel in parts.plane.channels] == ["demo"]
            assert await parts.database_ready() is await parts.books_ready() is await parts.running_on() is None
        assert parts.plane.stopping
        assert await parts.running_on() == "stopping"
        assert [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


async def test_a_database_that_is_away_is_not_ready(settings, outage, database: Database):
    parts = Parts(settings)
    async with parts.running():
        async with outage():
            await parts.database.close()
            assert (await parts.database_ready() or "").startswith("the database is ")
        assert await parts.database_ready() is None


async def test_rules_that_another_process_makes_are_known(settings, database: Database):
    parts = Parts(settings)
    async with parts.running():
        assert parts.rules.operators.is_empty
        await Rules(database).create(CLI, {"name": "calm", "scope": "all", "then": [{"do": "delete", "path": "user"}]})
        async with asyncio.timeout(10):
            while True:
                if not parts.rules.operators.is_empty:
                    break
                await asyncio.sleep(0.02)


async def test_where_only_the_demo_is_used_no_prices_are_read(tmp_path):
    program = (
        "import asyncio, sys\n"
        "from penstock.app import Parts\n"
        "from penstock.settings import load\n"
        "async def run():\n"
        "    async with Parts(load()).running():\n"
        "        print('genai_prices' in sys.modules)\n"
        "asyncio.run(run())\n"
    )
    environment = {"PENSTOCK_DATA": str(tmp_path / "data"), "PYTHONPATH": ":".join(sys.path)}
    for more, read in (({"PENSTOCK_DEMO": "true"}, b"False\n"), ({"OPENAI_API_KEY": "sk-test"}, b"True\n")):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, env={**environment, **more}, stdout=asyncio.subprocess.PIPE
        )
        assert (await process.communicate())[0] == read


async def test_which_paths_belong_to_the_control_plane(settings):
    for given, paths in (({}, 404), ({"access_token": SecretStr("secret")}, 403)):
        app, parts = build(settings.model_copy(update=given))
        async with parts.running(), httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
            assert (await client.get("/healthz")).json() == {"alive": True}
            assert (await client.get("/readyz")).json() == {"ready": True, "reasons": {}}
            assert b"penstock_in_flight 0.0" in (await client.get("/metrics")).content
            assert (await client.get("/nothing")).status_code == paths


def test_how_uvicorn_is_run(settings):
    config = server_config(settings.model_copy(update={"stop_s": 7.0, "keep_alive_s": 9.0}), build(settings)[0])
    assert (config.http, config.timeout_graceful_shutdown, config.timeout_keep_alive) == (Edge, 7, 9)
    assert (config.access_log, config.server_header, config.lifespan) == (False, False, "on")


@pytest.mark.parametrize(("given", "beat_s"), [({}, 0.25), ({"idle_s": 0.4}, 0.1), ({"connect_s": 0.01, "total_s": 0.01}, 0.02)])
def test_the_pulse_beats_often_enough(given, beat_s, tmp_path):
    assert Parts(Settings(data=tmp_path, **given)).pulse.every_s == pytest.approx(beat_s)
