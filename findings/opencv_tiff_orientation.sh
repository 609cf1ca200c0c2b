#!/bin/sh
# OpenCV's IMREAD_IGNORE_ORIENTATION keeps a JPEG as it is stored and turns a TIFF all the same.
#
# Seen with opencv-python-headless 4.11.0.86 and Pillow 12.3.0, CPython 3.10 and 3.11. A grey image of 40 x 20 pixels
# (width x height) with EXIF orientation 6 (a quarter turn), decoded by cv2.imdecode:
#
#   flags                                      JPEG     TIFF
#   IMREAD_COLOR                               20 x 40  20 x 40
#   IMREAD_COLOR | IMREAD_IGNORE_ORIENTATION   40 x 20  20 x 40   <- the TIFF is turned although it was told not to
#
# So who turns images by EXIF alone, after decoding them with that flag, turns a TIFF twice. Its tag 274 has to be set
# to 1 in the bytes that are decoded. Fails when any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    opencv-python-headless==4.11.0.86 pillow==12.3.0 numpy==1.26.4
"$folder/venv/bin/python" - <<'P'
import io

import cv2
import numpy as np
from PIL import Image

found = {}
for kind in ("JPEG", "TIFF"):
    exif, stream = Image.Exif(), io.BytesIO()
    exif[274] = 6
    Image.new("RGB", (40, 20), "grey").save(stream, kind, exif=exif)
    content = np.frombuffer(stream.getvalue(), np.uint8)
    for name, flags in (("plain", cv2.IMREAD_COLOR), ("ignore", cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)):
        height, width = cv2.imdecode(content, flags).shape[:2]
        found[kind, name] = f"{width} x {height}"
        print(f"cv2 {cv2.__version__}  {kind}  {name:6}  {found[kind, name]}")
expected = {("JPEG", "plain"): "20 x 40", ("JPEG", "ignore"): "40 x 20"}
expected |= {("TIFF", "plain"): "20 x 40", ("TIFF", "ignore"): "20 x 40"}
raise SystemExit(0 if found == expected else "changed: " + str(found))
P
