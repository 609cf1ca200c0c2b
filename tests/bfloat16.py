"""Whether this processor computes in bfloat16, and the marks of tests that need it or need it to be absent."""

from __future__ import annotations

import pytest

from yolo import native

HAS_BF16 = native.has_bfloat16()
needs_bf16 = pytest.mark.skipif(not HAS_BF16, reason=f"no bfloat16 instructions ({native.instruction_set()})")
needs_no_bf16 = pytest.mark.skipif(HAS_BF16, reason=f"has bfloat16 instructions ({native.instruction_set()})")
