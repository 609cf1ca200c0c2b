"""What is said when two ranks connect: each proves that it has the job's secret, and neither says it.

The first rank, to whoever connects: a nonce. The other one: who it is, a nonce of its own, and an HMAC-SHA256 over all
of that. The first one again: a verdict, and where it is good the job's number under an HMAC of its own. Every later
connection of a rank says the job's number, under an HMAC over nonces of its own.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import hmac
import secrets
import struct

MARK = b"YOLORNK2"
"""A stranger's connection does not begin so; the digit is the protocol's version."""
CHANNELS = 2
"""Connections of each rank to the first one."""
NONCE = 32
_HELLO = struct.Struct(f"<8s{NONCE}s")
_CLAIM = struct.Struct(f"<8siii32s32s{NONCE}s")
_ANSWER = struct.Struct("<8sii32s32s")
_PROOF = hashlib.sha256().digest_size
HELLO_BYTES, CLAIM_BYTES, ANSWER_BYTES = _HELLO.size, _CLAIM.size + _PROOF, _ANSWER.size
NO_JOB = bytes(32)


class Verdict(enum.IntEnum):
    """The first rank's, on another one."""

    WELCOME, OTHER_SECRET, OTHER_COUNT, OTHER_JOB, TAKEN = range(5)


class StrangerError(Exception):
    """Who is at the other end does not speak as a rank of this code does."""


@dataclasses.dataclass(frozen=True)
class Claim:
    """What a rank says of itself; job: of its first connection NO_JOB, later what it was told; launcher: a digest."""

    rank: int
    count: int
    channel: int
    launcher: bytes
    job: bytes = NO_JOB
    nonce: bytes = dataclasses.field(default_factory=lambda: secrets.token_bytes(NONCE))

    def packed(self, secret: bytes, hello: bytes) -> bytes:
        """With the proof, for the first rank's nonce ``hello``."""
        body = self._body()
        return body + _proof(secret, b"rank", hello, body)

    def answer(self, secret: bytes, hello: bytes, verdict: Verdict, count: int, job: bytes) -> bytes:
        """The first rank's, with its proof where it is good."""
        if verdict is not Verdict.WELCOME:
            return _ANSWER.pack(MARK, verdict, count, NO_JOB, bytes(_PROOF))
        return _ANSWER.pack(MARK, verdict, count, job, self._answer_proof(secret, hello, job))

    def read_answer(self, secret: bytes, hello: bytes, message: bytes) -> tuple[Verdict, int, bytes]:
        """The verdict, the first rank's count of ranks, the job's number.

        OTHER_SECRET where it is the first rank that has proved nothing. Raises StrangerError.
        """
        mark, number, count, job, proof = _ANSWER.unpack(message)
        if mark != MARK or number not in iter(Verdict):
            raise StrangerError
        proved = hmac.compare_digest(proof, self._answer_proof(secret, hello, job))
        verdict = Verdict(number)
        return (Verdict.OTHER_SECRET if verdict is Verdict.WELCOME and not proved else verdict), count, job

    def _body(self) -> bytes:
        return _CLAIM.pack(MARK, self.rank, self.count, self.channel, self.launcher, self.job, self.nonce)

    def _answer_proof(self, secret: bytes, hello: bytes, job: bytes) -> bytes:
        return _proof(secret, b"first", hello, self._body() + job)


def hello() -> tuple[bytes, bytes]:
    """A nonce, and the message with it."""
    nonce = secrets.token_bytes(NONCE)
    return nonce, _HELLO.pack(MARK, nonce)


def read_hello(message: bytes) -> bytes:
    """The nonce; raises StrangerError."""
    mark, nonce = _HELLO.unpack(message)
    if mark != MARK:
        raise StrangerError
    return nonce


def read_claim(message: bytes, secret: bytes, hello: bytes) -> tuple[Claim, bool]:
    """The claim, and whether it is proved. Raises StrangerError."""
    body, proof = message[: _CLAIM.size], message[_CLAIM.size :]
    mark, *fields = _CLAIM.unpack(body)
    if mark != MARK:
        raise StrangerError
    return Claim(*fields), hmac.compare_digest(proof, _proof(secret, b"rank", hello, body))


def _proof(secret: bytes, who: bytes, hello: bytes, body: bytes) -> bytes:
    return hmac.digest(secret, MARK + who.ljust(8, b"\0") + hello + body, "sha256")
