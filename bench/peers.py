"""Peers: other gateways, installed from their registries into bench/out/peers, to be measured beside ours."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from programs import HERE, Program

FOLDER = HERE / "out" / "peers"
INSTALL_S = 600
LITELLM = """
model_list:
  - model_name: gpt-4o
    litellm_params: {model: openai/gpt-4o, api_base: "http://127.0.0.1:9100/v1", api_key: sk-mock}
general_settings: {master_key: sk-test}
"""


def installed() -> list[Program]:
    """Those that could be installed; why the others could not is printed."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    found = []
    for name, make in {"litellm": _litellm, "portkey": _portkey, "sglang-router": _sglang_router}.items():
        print(f"installing {name}", flush=True)
        try:
            found.append(make())
        except (OSError, subprocess.SubprocessError) as exc:
            said = getattr(exc, "stderr", None) or b""
            print(f"{name} is left out: {exc}\n{said.decode(errors='replace')[-800:]}", flush=True)
    return found


def _litellm() -> Program:
    program = _python("litellm", "litellm[proxy]") / "litellm"
    config = FOLDER / "litellm.yaml"
    config.write_text(LITELLM)
    return Program("litellm", 9301, [str(program), "--config", str(config), "--host", "127.0.0.1", "--port", "9301"])


def _portkey() -> Program:
    folder = FOLDER / "portkey"
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("npm is not installed")
    if not (folder / "node_modules").exists():
        _run([npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), "@portkey-ai/gateway"])
    server = folder / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    return Program("portkey", 9302, ["node", str(server), "--port=9302", "--headless"])


def _sglang_router() -> Program:
    python = _python("sglang-router", "sglang-router") / "python"
    options = ["--host", "127.0.0.1", "--port", "9303", "--worker-urls", "http://127.0.0.1:9100", "--policy", "round_robin"]
    return Program("sglang-router", 9303, [str(python), "-m", "sglang_router.launch_router", *options])


def _python(name: str, package: str) -> Path:
    """The bin folder of an environment of its own that holds a package."""
    folder = FOLDER / name
    if not (folder / "complete").exists():
        uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
        _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
        _run([uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), package])
        (folder / "complete").touch()
    return folder / "bin"


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=INSTALL_S)
