#!/bin/sh
# Pillow's getexif() answers with an orientation for an image that has no EXIF at all: it reads tiff:Orientation in XMP.
#
# Seen with Pillow 12.3.0 and opencv-python-headless 4.11.0.86, CPython 3.10 and 3.11. A PNG of 40 x 20 pixels whose only
# metadata is an XMP packet (iTXt, XML:com.adobe.xmp) with tiff:Orientation 6:
#
#   Image.getexif()[274]                6, though there is no eXIf chunk
#   ImageOps.exif_transpose             20 x 40
#   cv2.imdecode(…, IMREAD_COLOR)       40 x 20
#
# So a size that is taken with Pillow's rule does not fit pixels that OpenCV decodes. Fails when any of this changes.
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
from PIL import Image, ImageOps, PngImagePlugin, __version__

packet = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)
text = PngImagePlugin.PngInfo()
text.add_itxt("XML:com.adobe.xmp", packet)
stream = io.BytesIO()
Image.new("RGB", (40, 20), "grey").save(stream, "PNG", pnginfo=text)
assert b"eXIf" not in stream.getvalue()
image = Image.open(stream)
height, width = cv2.imdecode(np.frombuffer(stream.getvalue(), np.uint8), cv2.IMREAD_COLOR).shape[:2]
found = (image.getexif().get(274), ImageOps.exif_transpose(image).size, (width, height))
print(f"Pillow {__version__}, cv2 {cv2.__version__}: getexif()[274], exif_transpose, imdecode: {found}")
raise SystemExit(0 if found == (6, (20, 40), (40, 20)) else f"changed: {found}")
P
