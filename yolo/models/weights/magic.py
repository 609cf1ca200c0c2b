"""The first bytes by which the content of a weights file is told; read by whoever reads or writes such a file."""

from __future__ import annotations

import re
from typing import Final

ZIP: Final = b"PK\x03\x04"
"""torch.save's zip form."""
LEGACY: Final = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
"""torch.save's form before PyTorch 1.6: a pickle of its magic number."""
PROGRAM: Final = b"YOLOPROG"
"""A compiled detector (`yolo.program.file`)."""
ONNX: Final = re.compile(rb"\x08[\x01-\x7f]\x12")
"""An ONNX model, as the usual writers begin it: the version of its form, then who made it."""
