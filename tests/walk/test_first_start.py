"""The first minutes with the real program: it starts, says what to do, and what it says works as it is written."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from anthropic import Anthropic
from openai import OpenAI
from typer.testing import CliRunner

from penstock.cli import cli
from program import Program, environment, run

LAST = """
import os, sys

class Last:
    def __del__(self, write=os.write):
        write(2, b"taken down")

if "resource_tracker" not in " ".join(sys.orig_argv):
    sys.last_of_all = Last()
"""
HELLO: Any = [{"role": "user", "content": "Hello!"}]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that nobody has made yet."""
    return tmp_path_factory.mktemp("first") / "data"


@pytest.fixture(scope="module")
def first(data: Path) -> Iterator[Program]:
    """The first start, as `make run` does it."""
    with Program(data, "--demo", "--port", "0") as program:
        yield program
        program.tell()
        assert program.end() == 0


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Starts the program, in a data folder of the test's own unless told otherwise."""
    with ExitStack() as stack:

        def begin(*arguments: str, **given: str) -> Program:
            return stack.enter_context(Program(tmp_path / "data", *arguments, **{"PENSTOCK_PORT": "0", **given}))

        yield begin


def bash(line: str, **given: str) -> Any:
    """What a command answers when it is pasted into a shell."""
    command = ["bash", "-c", line.replace("curl ", "curl --silent --show-error ", 1)]
    ran = subprocess.run(command, env=environment(**given), capture_output=True, text=True, check=True)
    return json.loads(ran.stdout)


def ask(url: str, key: str, model: str = "demo", **more: Any) -> httpx.Response:
    body = {"model": model, "messages": HELLO, **more}
    return httpx.post(f"{url}/v1/chat/completions", headers={"authorization": f"Bearer {key}"}, json=body, timeout=30)


@contextmanager
def stream(program: Program, model: str) -> Iterator[Iterator[str]]:
    """The lines of a streamed answer that are not empty."""
    headers, body = {"authorization": f"Bearer {program.key}"}, {"model": model, "messages": HELLO, "stream": True}
    with httpx.stream("POST", f"{program.url}/v1/chat/completions", headers=headers, json=body, timeout=30) as answer:
        yield (line for line in answer.iter_lines() if line)


def charges(data: Path) -> list[tuple[Any, ...]]:
    with sqlite3.connect(data / "penstock.db") as database:
        return database.execute("SELECT status, outcome, output_tokens FROM charge ORDER BY created_at_ms").fetchall()


# the first start


def test_it_says_where_it_is_and_what_to_do(first: Program):
    where, key, try_it, curl, way_in = first.out.splitlines()
    assert re.fullmatch(r"Penstock \d+\.\d+\.\d+ on http://127\.0\.0\.1:\d+", where)
    assert re.fullmatch(r"Your first key, shown only now: sk-[A-Za-z0-9]{40,}", key)
    assert (try_it, curl) == ("Try it:", first.curl)
    assert re.fullmatch(r"First administrator, if you want accounts: POST http://\S+/api/setup with token [0-9a-f]{64}", way_in)
    assert "error" not in first.err and "Traceback" not in first.err


def test_the_curl_line_works_as_it_is_pasted(first: Program):
    answer = bash(first.curl)
    assert answer["object"] == "chat.completion"
    assert "Hello!" in answer["choices"][0]["message"]["content"]


def test_both_sdks_work_as_the_readme_has_them(first: Program):
    client = OpenAI(base_url=f"{first.url}/v1", api_key=first.key)
    stream = client.chat.completions.create(model="demo", stream=True, messages=HELLO)
    assert "Hello!" in "".join(event.choices[0].delta.content or "" for event in stream)
    claude = Anthropic(base_url=first.url, api_key=first.key)
    assert claude.messages.create(model="demo", max_tokens=100, messages=HELLO).content[0].type == "text"


def test_the_key_is_kept_nowhere_else(first: Program, data: Path):
    assert first.key not in first.err
    assert [path for path in data.rglob("*") if path.is_file() and first.key.encode() in path.read_bytes()] == []
    assert data.stat().st_mode & 0o777 == 0o700


def test_keys_beside_the_running_program(first: Program, data: Path):
    def key(*arguments: str) -> str:
        ran = CliRunner().invoke(cli, ["key", *arguments, "--data", str(data)])
        assert ran.exit_code == 0, ran.stderr
        return ran.stdout.strip()

    def until(token: str, status: int, code: str | None) -> None:
        first.until(lambda: (answer := ask(first.url, token)).status_code == status and answer.json().get("error", {}).get("code") == code)

    alice = key("create", "alice")
    until(alice, 200, None)
    key("disable", "alice")
    until(alice, 401, "key_disabled")
    key("enable", "alice")
    until(alice, 200, None)
    again = key("rotate", "alice")
    until(again, 200, None)
    until(alice, 401, "invalid_key")


def test_the_doctor_is_content(first: Program, data: Path):
    _, _, port = first.url.rpartition(":")
    ran = CliRunner().invoke(cli, ["doctor", "--json", "--data", str(data)], env={"PENSTOCK_PORT": port, "PENSTOCK_DEMO": "true"})
    found = {check["check"]: check for check in json.loads(ran.stdout)["checks"]}
    assert (ran.exit_code, [name for name, check in found.items() if not check["well"]]) == (0, [])
    assert "served by Penstock" in found["port"]["found"]


def test_a_port_that_is_taken(first: Program, tmp_path):
    _, _, port = first.url.rpartition(":")
    ran = run("serve", "--demo", "--port", port, "--data", str(tmp_path / "other"))
    said = f"penstock: 127.0.0.1:{port} cannot be listened on: Address already in use. Choose another with --host or --port.\n"
    assert (ran.returncode, ran.stdout, ran.stderr) == (1, "", said)
    assert not (tmp_path / "other").exists()  # no key was made that nobody has seen


# later starts, and the end


def test_a_restart(start):
    """The first signal lets answers finish; the next start shows no key."""
    program = start("--demo")
    with stream(program, "demo-n40d20") as lines:
        assert next(lines).startswith("data: ")
        program.tell()
        *_, last = lines
    assert last == "data: [DONE]"
    assert program.end() == 0
    assert charges(program.data) == [(200, "complete", 40)]
    assert "Traceback" not in program.err
    again = start("--demo")
    assert "sk-" not in again.out
    assert bash(again.curl, PENSTOCK_KEY=program.key)["object"] == "chat.completion"
    again.tell(signal.SIGINT)
    assert again.end() == 0


def test_two_workers(start):
    program = start("--demo", "--workers", "2")
    for _ in range(30):
        assert ask(program.url, program.key).status_code == 200
    program.until(lambda: 'penstock_requests_total{status="200",wire="chat"} 30.0' in httpx.get(f"{program.url}/metrics").text)
    program.until(lambda: program.err.count("Application startup complete") == 2)
    one, _ = re.findall(r"Started server process \[(\d+)\]", program.err)
    os.kill(int(one), signal.SIGKILL)
    program.until(lambda: program.err.count("Application startup complete") == 3)
    assert f"worker {one} ended with status -9; another one takes its place" in program.err
    assert ask(program.url, program.key).status_code == 200
    check_the_second_signal(program, charged=31)


def test_the_second_signal_cuts(start):
    check_the_second_signal(start("--demo", PENSTOCK_STOP_S="3600"), charged=0)


def check_the_second_signal(program: Program, charged: int) -> None:
    with stream(program, "demo-n4000d200") as lines:
        next(lines)
        program.tell()
        program.until(lambda: "Shutting down" in program.err)
        assert next(lines).startswith("data: ")  # it goes on
        program.tell()
        *_, last = lines
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "shutting_down"
    assert program.end() == 0
    assert "Traceback" not in program.err
    *before, (status, outcome, tokens) = charges(program.data)
    assert (len(before), status, outcome) == (charged, 200, "stopped")
    assert tokens > 0


def test_being_told_once_more_at_the_very_end_changes_nothing(start):
    program = start("--demo")
    told = 0
    while program.process.poll() is None:
        program.tell((signal.SIGTERM, signal.SIGINT)[told % 2])
        told += 1
        time.sleep(0.0005)
    assert program.end() == 0
    assert "Finished server process" in program.err and "Traceback" not in program.err


@pytest.mark.parametrize("workers", ["1", "2"])
def test_its_end_takes_no_interpreter_down(start, tmp_path, workers):
    """Threads of the store that nobody can join would ask for it."""
    (tmp_path / "sitecustomize.py").write_text(LAST)
    program = start("--demo", "--workers", workers, PYTHONPATH=os.pathsep.join([str(tmp_path), *sys.path]))
    program.tell()
    assert program.end() == 0
    assert program.err.count("Finished server process") == int(workers)
    assert "taken down" not in program.err


def test_workers_end_with_the_one_that_started_them(start):
    program = start("--demo", "--workers", "2")
    program.until(lambda: program.err.count("Application startup complete") == 2)
    program.process.kill()
    program.process.wait()
    end = time.monotonic() + 30
    while program.err.count("Finished server process") < 2:
        assert time.monotonic() < end, program.err
        time.sleep(0.02)


# settings


def test_settings_from_a_file_and_the_environment(start, tmp_path):
    file = tmp_path / "penstock.toml"
    file.write_text('demo = true\nshow_cost = true\nport = 70000\nlog_format = "json"\n')
    program = start("--config", str(file), PENSTOCK_SHOW_CHANNEL="true")
    answer = ask(program.url, program.key)
    assert (answer.status_code, answer.headers["x-penstock-channel"]) == (200, "demo")
    assert float(answer.headers["x-penstock-cost"]) > 0
    assert {json.loads(line)["level"] for line in program.err.splitlines()} <= {"info", "warning"}


def test_without_any_setting_it_is_a_transparent_proxy(start):
    program = start(OPENAI_BASE_URL="http://127.0.0.1:9/v1", ANTHROPIC_BASE_URL="http://127.0.0.1:9")
    assert program.out.splitlines()[1:] == [
        "No provider key is configured: requests go to OpenAI and Anthropic with each client's own key.",
        f"  OPENAI_BASE_URL={program.url}/v1   ANTHROPIC_BASE_URL={program.url}",
    ]
    answer = ask(program.url, "sk-own")
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_refused")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"OPENAI_API_KEY": "sk-a b"}, "the credential of openai has blanks"),
        ({"PENSTOCK_DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none"}, "the database cannot be reached"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(given, said, tmp_path):
    ran = run("serve", **{"PENSTOCK_PORT": "0", "PENSTOCK_DATA": str(tmp_path / "data"), **given})
    assert ran.returncode in (1, 2)
    assert ran.stdout == ""
    (line,) = ran.stderr.splitlines()
    assert line.startswith("penstock: ") and said in line
