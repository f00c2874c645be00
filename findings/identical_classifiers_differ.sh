#!/bin/sh
# McNemar's test of two classifiers that never disagree: p = 0, "significant", in two packages.
#
# Versions: statsmodels 0.15.0, mlxtend 0.25.0, numpy 2.4.6.
# Guess: p = 1, or NaN.
# Behaviour: with the chi-squared form and its continuity correction the statistic is (|b - c| - 1)² / (b + c). Where the
#   two classifiers are right and wrong on the same images, b = c = 0, it is 1 / 0 = infinity, and p is exactly 0. numpy
#   warns of a division by zero; the result is returned as any other. One disagreement each way gives p = 0.48. Without
#   the correction p is NaN; the exact form gives 1.
# Means: a comparison of a model with a copy of itself (a setting that changed nothing, a checkpoint listed twice) comes
#   out as the most significant of a table. Use the exact form, or look at b + c first.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    statsmodels==0.15.0 mlxtend==0.25.0 numpy==2.4.6
cd "$folder"

venv/bin/python - > seen <<'PYTHON'
import warnings

import numpy as np
from mlxtend.evaluate import mcnemar as of_mlxtend
from mlxtend.evaluate import mcnemar_table
from statsmodels.stats.contingency_tables import mcnemar as of_statsmodels

labels = np.array([0, 1] * 50)
predictions = np.where(np.arange(100) < 90, labels, 1 - labels)  # 90 of 100 right
one_apart = predictions.copy()
one_apart[[0, 99]] = 1 - one_apart[[0, 99]]  # wrong on one more, right on one more
for title, other in (("the same predictions", predictions), ("one disagreement each way", one_apart)):
    table = mcnemar_table(labels, predictions, other)
    print(title, table.tolist())
    for form, statsmodels_keys, mlxtend_keys in (
        ("corrected", {"exact": False}, {}),
        ("not corrected", {"exact": False, "correction": False}, {"corrected": False}),
        ("exact", {"exact": True}, {"exact": True}),
    ):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            p_values = of_statsmodels(table, **statsmodels_keys).pvalue, of_mlxtend(table, **mlxtend_keys)[1]
        print(f"  {form}: p = {p_values[0]:.2f} (statsmodels), {p_values[1]:.2f} (mlxtend), warnings: {len(said)}")
PYTHON

cat > expected <<'END'
the same predictions [[90, 0], [0, 10]]
  corrected: p = 0.00 (statsmodels), 0.00 (mlxtend), warnings: 2
  not corrected: p = nan (statsmodels), nan (mlxtend), warnings: 2
  exact: p = 1.00 (statsmodels), 1.00 (mlxtend), warnings: 0
one disagreement each way [[89, 1], [1, 9]]
  corrected: p = 0.48 (statsmodels), 0.48 (mlxtend), warnings: 0
  not corrected: p = 1.00 (statsmodels), 1.00 (mlxtend), warnings: 0
  exact: p = 1.00 (statsmodels), 1.00 (mlxtend), warnings: 0
END
cat seen
diff expected seen || { echo "the behaviour has changed"; exit 1; }
