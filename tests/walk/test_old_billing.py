"""The old billing URLs of OpenAI through the whole program: below `/v1` they are not the relay's."""

from __future__ import annotations

import httpx
import pytest

from live_gateway import LiveGateway


@pytest.mark.parametrize("prefix", ["/v1", ""])
def test_a_key_sees_what_it_has_used(tmp_path, prefix):
    with (
        LiveGateway(tmp_path, demo=True) as gateway,
        httpx.Client(base_url=gateway.url, headers={"authorization": f"Bearer {gateway.key}"}) as client,
    ):
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}
        assert client.post("/v1/chat/completions", json=body).status_code == 200
        [charge] = gateway.charges()
        usage = client.get(f"{prefix}/dashboard/billing/usage").json()
        assert round(usage["total_usage"] * 10**7) == charge["cost_nano"] > 0
        assert client.get(f"{prefix}/dashboard/billing/subscription").json()["object"] == "billing_subscription"
        assert client.get(f"{prefix}/dashboard/billing/usage", headers={"authorization": "Bearer sk-none"}).status_code == 401
