#!/bin/sh
# scikit-learn's linear classifier, saved by safetensors and loaded again, has other weights.
#
# Versions: scikit-learn 1.9.1, safetensors 0.8.0, numpy 2.4.6.
# Guess: the same weights, and the same accuracy.
# Behaviour: LogisticRegression.coef_ is stored by columns (Fortran order). safetensors.numpy.save_file writes the memory
#   as it lies under the shape as it is, so load_file returns the same numbers in other places. Nothing is said. The
#   classifier falls from 98 % to 14 % on ten classes. A transposed view of any array is saved wrongly in the same way.
# Means: before saving a linear probe, np.ascontiguousarray(coef_). safetensors.torch refuses such tensors instead.
# Upstream: github.com/safetensors/safetensors/issues/825 (scikit-learn's PCA; with 0.7.0 the arrays came back right).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    scikit-learn==1.9.1 safetensors==0.8.0 numpy==2.4.6
cd "$folder"

venv/bin/python - > seen <<'PYTHON'
import numpy as np
from safetensors.numpy import load_file, save_file
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

images, labels = load_digits(return_X_y=True)
images = images / 16
classifier = LogisticRegression(max_iter=1000).fit(images, labels)
weights, bias = classifier.coef_, classifier.intercept_


def accuracy(weights):
    return np.mean((images @ weights.T + bias).argmax(1) == labels)


def saved_and_loaded(array):
    save_file({"array": array}, "head.safetensors")
    return load_file("head.safetensors")["array"]


print("by rows:", weights.flags.c_contiguous, " by columns:", weights.flags.f_contiguous)
print("accuracy above 0.95:", accuracy(weights) > 0.95)
loaded = saved_and_loaded(weights)
print("loaded: same shape:", loaded.shape == weights.shape, " same numbers:", np.array_equal(loaded, weights),
      " same when sorted:", np.array_equal(np.sort(loaded, None), np.sort(weights, None)))
print("accuracy of what was loaded below 0.25:", accuracy(loaded) < 0.25)
print("accuracy of a copy by rows above 0.95:", accuracy(saved_and_loaded(np.ascontiguousarray(weights))) > 0.95)
view = np.arange(6).reshape(2, 3).T
print("a transposed view:", view.tolist(), "->", saved_and_loaded(view).tolist())
PYTHON

cat > expected <<'END'
by rows: False  by columns: True
accuracy above 0.95: True
loaded: same shape: True  same numbers: False  same when sorted: True
accuracy of what was loaded below 0.25: True
accuracy of a copy by rows above 0.95: True
a transposed view: [[0, 3], [1, 4], [2, 5]] -> [[0, 1], [2, 3], [4, 5]]
END
cat seen
diff expected seen || { echo "the behaviour has changed"; exit 1; }
