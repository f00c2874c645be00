#!/bin/sh
# Of two documented ways to save a photograph as HEIC, one loses which way is up.
#
# Versions: pillow-heif 1.8.1, pillow 13.0.0, numpy 2.4.6.
# Guess: both keep the camera's EXIF orientation, and readers show the picture upright.
# Behaviour: image.save("x.heic") writes the orientation as the rotation that HEIF has (irot), and readers turn the picture.
#   from_pillow(image).save("x.heic") copies the EXIF and writes no rotation; readers ignore EXIF's orientation in HEIF, as
#   the standard says, and pillow-heif reports it as 1: "upright". The picture lies on its side, and exif_transpose has
#   nothing to go by. It still stands in info["original_orientation"].
# Means: a phone's portraits that were converted by from_pillow are a quarter turn off, beside landscapes that are right,
#   and no reader can tell. Call ImageOps.exif_transpose before saving.
# Upstream: that EXIF is reset on reading is known (github.com/bigcat88/pillow_heif/issues/86); nothing found on from_pillow.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    pillow-heif==1.8.1 pillow==13.0.0 numpy==2.4.6
cd "$folder"

venv/bin/python - > seen <<'PYTHON'
import numpy as np
import pillow_heif
from PIL import Image, ImageOps

pillow_heif.register_heif_opener()
exif = Image.Exif()
exif[0x0112] = 6  # the camera was turned: show it a quarter turn clockwise
Image.fromarray(np.full((48, 64, 3), 100, np.uint8)).save("photo.jpg", exif=exif)


def look(name):
    with Image.open(name) as image:
        upright = ImageOps.exif_transpose(image)
        print(f"{name}: shown {upright.width} x {upright.height}, orientation {image.getexif().get(0x0112)},",
              f"original_orientation {image.info.get('original_orientation')}")


look("photo.jpg")
with Image.open("photo.jpg") as image:
    image.save("saved.heic")
    pillow_heif.from_pillow(image).save("from_pillow.heic")
look("saved.heic")
look("from_pillow.heic")
PYTHON

cat > expected <<'END'
photo.jpg: shown 48 x 64, orientation 6, original_orientation None
saved.heic: shown 48 x 64, orientation 1, original_orientation 6
from_pillow.heic: shown 64 x 48, orientation 1, original_orientation 6
END
cat seen
diff expected seen || { echo "the behaviour has changed"; exit 1; }
