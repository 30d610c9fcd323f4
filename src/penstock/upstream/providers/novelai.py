"""NovelAI's images, and whoever is called as they are. It has no list of its models, and nothing else to ask at this host."""

from __future__ import annotations

from penstock.upstream.providers.provider import Provider

MODELS = {
    "nd-imagine-v3": "nai-diffusion-3",
    "nd-imagine-v3-furry": "nai-diffusion-furry-3",
    "nd-imagine-v4": "nai-diffusion-4-full",
    "nd-imagine-v4-curated": "nai-diffusion-4-curated-preview",
    "nd-imagine-v4-5": "nai-diffusion-4-5-full",
    "nd-imagine-v4-5-curated": "nai-diffusion-4-5-curated",
}
"""NovelAI's name of what is asked for by the platform's."""

PROVIDER = Provider(
    "novelai",
    ("novelai",),
    base_has_version=False,
    credential_header=b"authorization",
    credential_prefix=b"Bearer ",
    title="NovelAI",
    base_url="https://image.novelai.net",
)
