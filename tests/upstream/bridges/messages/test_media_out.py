from __future__ import annotations

from base64 import b64encode

import pytest

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.conversation import Document, Image
from penstock.upstream.bridges.dropped import Dropped
from penstock.upstream.bridges.messages.media_out import document_block, image_block, keep_last_marks

PDF = {"type": "base64", "media_type": "application/pdf", "data": "aa"}


@pytest.mark.parametrize(
    ("image", "source"),
    [
        (Image("image/JPG", "aa"), {"type": "base64", "media_type": "image/jpeg", "data": "aa"}),
        (Image("image/webp", "aa"), {"type": "base64", "media_type": "image/webp", "data": "aa"}),
        (Image(url="data:image/gif;base64,aa"), {"type": "base64", "media_type": "image/gif", "data": "aa"}),
        (Image(url="https://x/y.png"), {"type": "url", "url": "https://x/y.png"}),
    ],
)
def test_pictures(image, source):
    assert image_block(image, Dropped()) == {"type": "image", "source": source}


def test_detail_is_left_out_by_name():
    dropped = Dropped()
    image_block(Image(url="u", detail="high"), dropped)
    image_block(Image(url="u", detail="auto"), dropped)
    assert list(dropped.names) == ["detail"]


@pytest.mark.parametrize(
    ("document", "source"),
    [
        (Document("application/pdf", "aa"), PDF),
        (Document("", "aa"), PDF),
        (Document(url="https://x/y.pdf"), {"type": "url", "url": "https://x/y.pdf"}),
        (Document(text="words"), {"type": "text", "media_type": "text/plain", "data": "words"}),
        (Document("text/csv", b64encode(b"a,b").decode()), {"type": "text", "media_type": "text/plain", "data": "a,b"}),
        (
            Document("application/json; charset=utf-8", b64encode(b"{}").decode()),
            {"type": "text", "media_type": "text/plain", "data": "{}"},
        ),
    ],
)
def test_documents(document, source):
    assert document_block(document) == {"type": "document", "source": source}


def test_a_document_has_its_name_and_its_mark():
    block = document_block(Document(text="words", name="a.txt", cache="1h"))
    assert (block["title"], block["cache_control"]) == ("a.txt", {"type": "ephemeral", "ttl": "1h"})


@pytest.mark.parametrize("part", [Image(file_id="file-1"), Document(file_id="file-1"), Document("application/zip", "aa")])
def test_what_cannot_be_said_is_refused(part):
    with pytest.raises(PenstockError) as caught:
        image_block(part, Dropped()) if isinstance(part, Image) else document_block(part)
    assert caught.value.code == "cannot_translate"


def test_the_last_marks_are_kept():
    blocks = [{"n": index, "cache_control": {}} for index in range(6)]
    keep_last_marks(blocks, 4)
    assert [block["n"] for block in blocks if "cache_control" in block] == [2, 3, 4, 5]
