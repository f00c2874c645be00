#!/bin/sh
# Of a DICOM file with many frames, apply_modality_lut and apply_voi_lut apply nothing, and say nothing.
#
# Versions: pydicom 3.0.2, numpy 2.4.6.
# Guess: they take rescaling and window of the wanted frame from the file's groups, or refuse a file that has them there.
# Behaviour: an enhanced (multi-frame) object says RescaleSlope and RescaleIntercept (PixelValueTransformationSequence) and
#   WindowCenter and WindowWidth (FrameVOILUTSequence) in its functional groups, shared by all frames or for each. pydicom's
#   functions look at the top of the data set alone, find nothing there and return the stored numbers unchanged, with no
#   warning. The same numbers in a file of one frame, with the same elements at its top, come rescaled and windowed.
# Means: CT and MR as scanners export them today, beside older files of one frame a slice: the former come as stored numbers
#   (air as 0, not as -1024), the latter windowed, in one training set, and nothing fails. Copy what the groups of a
#   frame say to the top of the data set before both functions are called.
# Upstream: the docstrings speak of elements of the data set; nothing found on functional groups.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check pydicom==3.0.2 numpy==2.4.6
cd "$folder"

venv/bin/python -W error::UserWarning - > seen <<'PYTHON'
import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.sequence import Sequence

stored = np.array([[0, 924, 1024, 1064, 1124]], dtype=np.uint16)  # Hounsfield units + 1024: air, fat, water, tissue, blood


def terms(of):
    of.RescaleSlope, of.RescaleIntercept, of.WindowCenter, of.WindowWidth = 1, -1024, 40, 400


def header(frames):
    data = Dataset()
    data.BitsStored, data.PixelRepresentation, data.PhotometricInterpretation = 12, 0, "MONOCHROME2"
    data.NumberOfFrames = frames
    return data


single = header(1)
terms(single)

rescale, window = Dataset(), Dataset()
rescale.RescaleSlope, rescale.RescaleIntercept = 1, -1024
window.WindowCenter, window.WindowWidth = 40, 400
shared = Dataset()
shared.PixelValueTransformationSequence, shared.FrameVOILUTSequence = Sequence([rescale]), Sequence([window])
enhanced = header(1)
enhanced.SharedFunctionalGroupsSequence = Sequence([shared])

for name, data in (("at the top", single), ("in the shared group", enhanced)):
    units = apply_modality_lut(stored, data)
    shown = apply_voi_lut(units, data)
    print(f"{name}: units {units.astype(int)[0].tolist()}, shown {np.round(shown).astype(int)[0].tolist()}")
PYTHON

cat > expected <<'END'
at the top: units [-1024, -100, 0, 40, 100], shown [-1024, -408, 618, 1029, 1644]
in the shared group: units [0, 924, 1024, 1064, 1124], shown [0, 924, 1024, 1064, 1124]
END
cat seen
diff expected seen || { echo "the behaviour has changed"; exit 1; }
