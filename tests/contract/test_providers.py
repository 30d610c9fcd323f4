"""What every provider must be, however many there are: found by discovery, safe in what it writes into a request."""

from __future__ import annotations

import re
from importlib import import_module
from pkgutil import iter_modules

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.upstream import providers
from penstock.upstream.bridges import BRIDGES
from penstock.upstream.errands import ERRANDS
from penstock.upstream.providers import PROVIDERS
from penstock.upstream.wires import WIRES

LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+: [!-~](?:[ -~]*[!-~])?\r\n")
BASES = st.lists(st.from_regex(r"[a-z0-9._~%-]{1,8}", fullmatch=True).filter(lambda name: name not in {".", ".."}), max_size=3).map(
    lambda names: "".join("/" + name for name in names)
)
PATHS = st.builds(
    lambda version, names: "/".join(["", version, *names]),
    st.sampled_from(["v1", "v2", "v10"]),
    st.lists(st.from_regex(r"[A-Za-z0-9@:._~%-]{1,8}", fullmatch=True).filter(lambda name: name not in {".", ".."}), max_size=4),
)

every_provider = pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS.keys())


def test_every_module_is_found_under_its_own_name():
    modules = [import_module(f"{providers.__name__}.{info.name}") for info in iter_modules(providers.__path__)]
    alone = {module.PROVIDER.name: module.PROVIDER for module in modules if hasattr(module, "PROVIDER")}
    assert {name.replace("-", "_") for name in alone} == {
        module.__name__.rpartition(".")[2] for module in modules if hasattr(module, "PROVIDER")
    }
    rows = {provider.name: provider for module in modules for provider in getattr(module, "PROVIDERS", ())}
    assert alone.keys().isdisjoint(rows)
    assert alone | rows == PROVIDERS
    assert all(name == provider.name for name, provider in PROVIDERS.items())


@every_provider
def test_its_wires_exist(provider):
    answered = {*WIRES, *(target for _, target in (*BRIDGES, *ERRANDS))}
    assert provider.wires and set(provider.wires) <= answered
    assert len(set(provider.wires)) == len(provider.wires)


def test_every_wire_is_spoken_by_somebody_real():
    spoken = {wire for name, provider in PROVIDERS.items() if name != "demo" for wire in provider.wires}
    translated = {source for source, target in (*BRIDGES, *ERRANDS) if target in spoken}
    assert WIRES.keys() <= spoken | translated


@every_provider
def test_its_credential_is_one_header_line(provider):
    line = provider.credential("sk-test")
    assert LINE.fullmatch(line)
    assert line.endswith(b"sk-test\r\n")
    assert provider.credential_header in {b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"ocp-apim-subscription-key"}


@every_provider
def test_its_extra_headers_are_header_lines(provider):
    for name, value in provider.extra_headers:
        assert LINE.fullmatch(b"%b: %b\r\n" % (name, value))


@every_provider
@given(base=BASES, path=PATHS, slash=st.booleans())
def test_a_target_stays_under_the_base_url(provider, base, path, slash):
    """Apart from its version, that is: `/v2` beside a base that ends in `/v1` is the same vendor's other version."""
    target = provider.target(base + "/" * slash, path)
    assert target.startswith("/")
    assert "//" not in target
    assert target.isascii()
    assert target.startswith(base.removesuffix("/v1") if provider.base_has_version else base)
    assert target == "/" or target.endswith(path.removeprefix("/v1") if provider.base_has_version else path)
