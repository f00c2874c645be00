#!/bin/sh
# A TIFF of 16-bit colours in planes opens without a word, and each byte is taken for a pixel.
#
# Versions: pillow 13.0.0, tifffile 2026.3.3, numpy 2.4.6.
# Guess: Pillow keeps the upper 8 bits, as it does with the same colours pixel by pixel, or says that it cannot read planes.
# Behaviour: of a TIFF with PlanarConfiguration 2 and 16 bits per sample that is not compressed, Pillow reads the first half of
#   each plane, a byte a pixel: the upper half of the picture, twice as wide as it is and squeezed into it line by line, with
#   every other pixel noise (the lower bytes). No warning; size and mode are right. The same file compressed (deflate) is
#   read as it should be. Signed 8-bit gray is taken for unsigned in the same quiet way: -1 comes as 255, 0 as 0.
# Means: satellite and microscope pictures are often written in planes (GDAL's INTERLEAVE=BAND). A network learns from
#   noise, and nothing fails. Read them with tifffile, or compare with it once.
# Upstream: reading planes came with github.com/python-pillow/Pillow/pull/5364; nothing found on 16-bit planes, nor on
#   signed 8 bits.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    pillow==13.0.0 tifffile==2026.3.3 numpy==2.4.6
cd "$folder"

venv/bin/python - > seen <<'PYTHON'
import numpy as np
import tifffile
from PIL import Image

shades = np.array([[0, 50, 100, 150], [200, 250, 255, 255]])
values = np.dstack([shades] * 3).astype(np.uint16) * 257
for layout, compression in (("contig", None), ("separate", "deflate"), ("separate", None)):
    stored = values if layout == "contig" else values.transpose(2, 0, 1)
    tifffile.imwrite("colours.tif", stored, photometric="rgb", planarconfig=layout, compression=compression)
    assert (tifffile.imread("colours.tif") == stored).all()
    with Image.open("colours.tif") as image:
        print(f"{layout}, compression {compression}: {image.mode} {image.size}, red", np.asarray(image)[..., 0].tolist())
values = np.array([[-128, -1, 0, 1, 127]], np.int8)
tifffile.imwrite("signed.tif", values)
with Image.open("signed.tif") as image:
    print(f"int8 {values[0].tolist()}: {image.mode}", np.asarray(image)[0].tolist())
PYTHON

cat > expected <<'END'
contig, compression None: RGB (4, 2), red [[0, 50, 100, 150], [200, 250, 255, 255]]
separate, compression deflate: RGB (4, 2), red [[0, 50, 100, 150], [200, 250, 255, 255]]
separate, compression None: RGB (4, 2), red [[0, 0, 50, 50], [100, 100, 150, 150]]
int8 [-128, -1, 0, 1, 127]: L [128, 255, 0, 1, 127]
END
cat seen
diff expected seen || { echo "the behaviour has changed"; exit 1; }
