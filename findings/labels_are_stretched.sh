#!/bin/sh
# A label volume written with the header of an 8-bit mask: its labels 0, 1, 2, 3, 4 come back as 0, 1.004, 1.992, 2.996, 4.
#
# Versions: nibabel 5.4.2, numpy 2.4.6.
# Guess: the same whole numbers; 8 bits hold them exactly.
# Behaviour: labels often are float64 in memory (after resampling, or from get_fdata). If they are saved as NIfTI with the
#   header of the original mask (uint8), nibabel does not write them as they are: it stretches them over all 256 values
#   and stores a slope (4 / 255). Read back, label 3 is 191 x 4 / 255 = 2.996, and astype(int) makes it 2; label 2 becomes
#   1, and 1 and 2 are one class. Which labels break depends on the largest one in the volume: none for 3 and 5.
#   As integers the same labels survive.
# Means: a class of a slice that is read off its mask changes between two files with the same labels, and a class that
#   vanishes in one volume is there in the next. Save integers, and np.rint what was read.
# Upstream: nibabel's documentation describes the scaling of floating-point data to integer types on disk.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check nibabel==5.4.2 numpy==2.4.6
cd "$folder"

venv/bin/python - > seen <<'PYTHON'
import nibabel
import numpy as np

mask_header = nibabel.Nifti1Image(np.zeros((1, 1, 1), np.uint8), np.eye(4)).header


def written_and_read(labels):
    nibabel.save(nibabel.Nifti1Image(labels.reshape(-1, 1, 1), np.eye(4), mask_header), "labels.nii")
    return nibabel.load("labels.nii").get_fdata().ravel()


for largest in range(2, 8):
    values = np.arange(largest + 1)
    back = written_and_read(values.astype(np.float64))
    lost = values[back.astype(int) != values].tolist()
    print(f"labels 0 to {largest} as float64: largest error {abs(back - values).max():.3f}, another label: {lost}")
print("as uint8:", written_and_read(np.arange(8, dtype=np.uint8)).astype(int).tolist())
PYTHON

cat > expected <<'END'
labels 0 to 2 as float64: largest error 0.004, another label: [1]
labels 0 to 3 as float64: largest error 0.000, another label: []
labels 0 to 4 as float64: largest error 0.008, another label: [2, 3]
labels 0 to 5 as float64: largest error 0.000, another label: []
labels 0 to 6 as float64: largest error 0.012, another label: [1, 3, 5]
labels 0 to 7 as float64: largest error 0.012, another label: [1, 3, 5]
as uint8: [0, 1, 2, 3, 4, 5, 6, 7]
END
cat seen
diff expected seen || { echo "the behaviour has changed"; exit 1; }
