#!/bin/sh
# An image folder with the classes "valid" and "invalid" is loaded as one split of half the images, without labels.
#
# Versions: datasets 5.2.0, pillow 13.0.0, numpy 2.4.6.
# Guess: "valid" becomes the validation split; "invalid" is still there, for training.
# Behaviour: load_dataset("imagefolder") looks for words of splits in the names of folders. If it finds one (valid, dev, test,
#   eval, train, ...), what lies in folders without such a word is not loaded, and the folder is no class: "invalid" is
#   gone, and the dataset has no label. Nothing is said. "test" and "control" lose the controls in the same way. Where every
#   class has such a word in its name ("pre-test", "post-test"), labels stay, but all images are the test split.
# Means: quality control (valid, invalid), experiments (test, control) and before-and-after pictures lose a class, or
#   their training data. Give data_files explicitly, or rename the folders. torchvision's ImageFolder sees two classes.
# Upstream: datasets documents words of splits in folder names; that what matches none is left out is in
#   github.com/huggingface/datasets/issues/7529.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    datasets==5.2.0 pillow==13.0.0 numpy==2.4.6
cd "$folder"

HF_HUB_OFFLINE=1 HF_HOME="$folder/cache" venv/bin/python - > seen <<'PYTHON'
from pathlib import Path

import datasets
import numpy as np
from PIL import Image

datasets.disable_progress_bars()
for number, names in enumerate([("good", "bad"), ("valid", "invalid"), ("test", "control"), ("pre-test", "post-test")]):
    root = Path(f"photos{number}")
    for shade, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for index in range(3):
            Image.fromarray(np.full((8, 8, 3), 100 * shade + index, np.uint8)).save(root / name / f"{index}.png")
    found = datasets.load_dataset("imagefolder", data_dir=str(root))
    print(f"6 images in {names[0]}/ and {names[1]}/:")
    for split, images in found.items():
        label = images.features.get("label")
        print(f"  {split}: {len(images)} images,", f"classes {label.names}" if label else "no label")
PYTHON

cat > expected <<'END'
6 images in good/ and bad/:
  train: 6 images, classes ['bad', 'good']
6 images in valid/ and invalid/:
  validation: 3 images, no label
6 images in test/ and control/:
  test: 3 images, no label
6 images in pre-test/ and post-test/:
  test: 6 images, classes ['post-test', 'pre-test']
END
cat seen
diff expected seen || { echo "the behaviour has changed"; exit 1; }
