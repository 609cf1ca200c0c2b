"""Whether this processor computes in bfloat16."""

from __future__ import annotations

from yolo.program._native import native

HAS_BF16 = any(word in native.instruction_set() for word in ("bf16", "fp16", "amx"))
