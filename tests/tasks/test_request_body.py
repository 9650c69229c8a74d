from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.request_body import MOST_MEMBERS, Refusal, Room, Share, unpack

LIMIT = 1000


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


PACKERS = {
    "": bytes,
    "identity": bytes,
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    " GZIP ": gzip.compress,
    "deflate": zlib.compress,
}


@pytest.mark.parametrize("encoding", PACKERS)
@given(body=st.binary(max_size=LIMIT))
def test_what_was_packed_is_unpacked(encoding: str, body: bytes) -> None:
    assert unpack(PACKERS[encoding](body), encoding, LIMIT) == body


@given(st.binary(min_size=1, max_size=LIMIT))
def test_deflated_body_without_its_header_is_unpacked_too(body: bytes) -> None:
    assert unpack(raw_deflate(body), "deflate", LIMIT) == body


@given(st.binary(max_size=200), st.sampled_from(["gzip", "deflate", "br", "gzip, gzip", "zstd"]))
def test_any_bytes_are_unpacked_or_refused(body: bytes, encoding: str) -> None:
    try:
        assert len(unpack(body, encoding, LIMIT)) <= LIMIT
    except Refusal as refusal:
        assert refusal.status in (400, 413, 415)  # noqa: PT017  either is right


REFUSED = {
    "an encoding that nobody asked for": (b"x", "br", 415),
    "two encodings": (gzip.compress(gzip.compress(b"x")), "gzip, gzip", 415),
    "what is not packed at all": (b"{}", "gzip", 400),
    "an empty body": (b"", "gzip", 400),
    "the first half": (gzip.compress(bytes(range(256)))[:100], "gzip", 400),
    "a second member that is cut off": (gzip.compress(b"x") + gzip.compress(b"y")[:10], "gzip", 400),
    "a wrong checksum": (gzip.compress(b"x")[:-8] + bytes(8), "gzip", 400),
    "a bomb": (gzip.compress(bytes(50_000_000)), "gzip", 413),
    "a bomb without a header": (raw_deflate(bytes(50_000_000)), "deflate", 413),
    "one byte too many": (gzip.compress(bytes(LIMIT + 1)), "gzip", 413),
    "members that are each within the limit": (gzip.compress(bytes(400)) * 3, "gzip", 413),
    "very many members": (gzip.compress(b"") * 100_000, "gzip", 413),
}


@pytest.mark.parametrize(("body", "encoding", "status"), REFUSED.values(), ids=REFUSED)
def test_refused_is(body: bytes, encoding: str, status: int) -> None:
    with pytest.raises(Refusal) as caught:
        unpack(body, encoding, LIMIT)
    assert caught.value.status == status


def test_members_are_put_together_and_padding_is_dropped() -> None:
    assert unpack(gzip.compress(b"a") + gzip.compress(b"b") + bytes(512), "gzip", LIMIT) == b"ab"


def test_most_members_are_still_unpacked() -> None:
    assert unpack(gzip.compress(b"a") * MOST_MEMBERS, "gzip", LIMIT) == b"a" * MOST_MEMBERS


def test_bomb_is_unpacked_no_further_than_the_limit() -> None:
    import tracemalloc

    packed = gzip.compress(bytes(100_000_000))
    tracemalloc.start()
    with pytest.raises(Refusal):
        unpack(packed, "gzip", LIMIT)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < len(packed) + 200_000


def test_room_is_shared_and_given_back() -> None:
    room = Room(100)
    first, second = Share(room), Share(room)
    first.hold(60)
    with pytest.raises(Refusal) as caught:
        second.hold(41)
    assert (caught.value.status, caught.value.retry_after_s, room.used) == (503, 1, 60)
    second.hold(40)
    first.hold(0)
    assert room.used == 40


@pytest.mark.parametrize(("used", "tight"), [(80, False), (81, True)])
def test_room_is_tight_above_80_percent(used: int, tight: bool) -> None:
    room = Room(100)
    Share(room).hold(used)
    assert room.is_tight is tight
