"""Starting and stopping."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

import httpx
import pytest

from penstock.upstream.demo.server import start

RUN = "from penstock.upstream.demo.server import run; run(port=0, announce=lambda line: print(line, flush=True))"


async def test_it_gives_its_address_and_serves():
    demo = await start()
    async with httpx.AsyncClient() as client:
        assert demo.url == f"http://127.0.0.1:{demo.port}"
        assert (await client.get(demo.url)).status_code == 200
        assert demo.open_connections == 1
    await demo.close()


async def test_closing_drops_everybody_and_frees_the_port():
    demo = await start()
    reader, writer = await asyncio.open_connection("127.0.0.1", demo.port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    assert await reader.readuntil(b"\r\n\r\n")
    await demo.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", demo.port)
    writer.close()


async def test_a_taken_address_is_an_error():
    demo = await start()
    with pytest.raises(OSError, match="in use"):
        await start(port=demo.port)
    await demo.close()


async def test_each_server_remembers_for_itself():
    one, two = await start(), await start()
    form = {"files": {"file": ("a.txt", b"a")}, "data": {"purpose": "batch"}}
    async with httpx.AsyncClient() as client:
        made = (await client.post(f"{one.url}/v1/files", **form)).json()["id"]
        assert (await client.get(f"{one.url}/v1/files/{made}")).status_code == 200
        assert (await client.get(f"{two.url}/v1/files/{made}")).status_code == 404
    await one.close()
    await two.close()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_run_announces_itself_and_stops_on_a_signal(how):
    program = subprocess.Popen([sys.executable, "-c", RUN], stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    try:
        line = program.stdout.readline()
        assert line.startswith("demo provider on http://127.0.0.1:")
        assert httpx.get(line.split()[-1]).status_code == 200
        program.send_signal(how)
        assert program.wait(10) == 0
    finally:
        program.kill()
        program.wait()
        program.stdout.close()
