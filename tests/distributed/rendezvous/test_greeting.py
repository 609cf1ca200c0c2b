"""What ranks say when they connect proves that they know the secret, and does not say it."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from yolo.distributed.rendezvous.greeting import (
    ANSWER_BYTES,
    CLAIM_BYTES,
    HELLO_BYTES,
    MARK,
    NO_JOB,
    Claim,
    StrangerError,
    Verdict,
    hello,
    read_claim,
    read_hello,
)

SECRET, NUMBER = b"a secret of the job's", bytes(range(32))


def claim(**instead: object) -> Claim:
    return Claim(**{"rank": 1, "count": 2, "channel": 0, "launcher": bytes(32), **instead})


def test_each_proves_it_to_the_other() -> None:
    nonce, message = hello()
    assert len(message) == HELLO_BYTES and read_hello(message) == nonce and hello()[0] != nonce
    own = claim()
    packed = own.packed(SECRET, nonce)
    assert len(packed) == CLAIM_BYTES and read_claim(packed, SECRET, nonce) == (own, True)
    answer = own.answer(SECRET, nonce, Verdict.WELCOME, 2, NUMBER)
    assert len(answer) == ANSWER_BYTES and own.read_answer(SECRET, nonce, answer) == (Verdict.WELCOME, 2, NUMBER)
    assert not any(SECRET in said for said in (message, packed, answer))


def test_the_proof_is_an_hmac_over_both_nonces() -> None:
    nonce, own = hello()[0], claim()
    packed = own.packed(SECRET, nonce)
    body, proof = packed[:-32], packed[-32:]
    assert own.nonce in body
    expected = hmac.new(SECRET, MARK + b"rank\0\0\0\0" + nonce + body, hashlib.sha256).digest()
    assert proof == expected


@pytest.mark.parametrize("secret", [b"", b"another secret, as long"])
def test_another_secret_proves_nothing(secret: bytes) -> None:
    nonce, own = hello()[0], claim()
    assert read_claim(own.packed(secret, nonce), SECRET, nonce) == (own, False)
    answer = own.answer(secret, nonce, Verdict.WELCOME, 2, NUMBER)
    assert own.read_answer(SECRET, nonce, answer)[0] is Verdict.OTHER_SECRET


def test_nothing_in_it_can_be_changed() -> None:
    nonce, own = hello()[0], claim()
    packed, answer = own.packed(SECRET, nonce), own.answer(SECRET, nonce, Verdict.WELCOME, 2, NUMBER)
    for place in range(len(MARK), CLAIM_BYTES):
        changed = packed[:place] + bytes([packed[place] ^ 1]) + packed[place + 1 :]
        assert not read_claim(changed, SECRET, nonce)[1], place
    for place in range(ANSWER_BYTES - 64, ANSWER_BYTES):
        changed = answer[:place] + bytes([answer[place] ^ 1]) + answer[place + 1 :]
        assert own.read_answer(SECRET, nonce, changed)[0] is Verdict.OTHER_SECRET, place


def test_what_was_heard_before_proves_nothing_later() -> None:
    nonce, own = hello()[0], claim()
    packed, answer = own.packed(SECRET, nonce), own.answer(SECRET, nonce, Verdict.WELCOME, 2, NUMBER)
    later = hello()[0]
    assert not read_claim(packed, SECRET, later)[1]
    assert claim().read_answer(SECRET, nonce, answer)[0] is Verdict.OTHER_SECRET  # a nonce of its own
    reflected = answer[:-32] + packed[-32:]
    assert own.read_answer(SECRET, nonce, reflected)[0] is Verdict.OTHER_SECRET


@pytest.mark.parametrize("verdict", set(Verdict) - {Verdict.WELCOME})
def test_a_refusal_tells_nothing_of_the_job(verdict: Verdict) -> None:
    nonce, own = hello()[0], claim()
    answer = own.answer(SECRET, nonce, verdict, 2, NUMBER)
    assert own.read_answer(SECRET, nonce, answer) == (verdict, 2, NO_JOB) and answer.endswith(bytes(64))


def test_strangers_are_known_by_the_first_bytes() -> None:
    nonce, own = hello()[0], claim()
    with pytest.raises(StrangerError):
        read_hello(b"HTTP/1.1" + bytes(HELLO_BYTES - 8))
    with pytest.raises(StrangerError):
        read_claim(b"GET / HT" + bytes(CLAIM_BYTES - 8), SECRET, nonce)
    for message in (bytes(ANSWER_BYTES), MARK + bytes([9]) + bytes(ANSWER_BYTES - 9)):
        with pytest.raises(StrangerError):
            own.read_answer(SECRET, nonce, message)
