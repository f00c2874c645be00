"""What the recommendation says of how sure it is."""

from __future__ import annotations

import math
from dataclasses import replace

from make_study import make_study

from tl_sweep.comparison.recommendation import how_sure
from tl_sweep.comparison.study import Interval


def test_where_there_is_no_interval_it_is_said_why() -> None:
    row = replace(make_study().rows[0], num_test_images=3929, num_test_groups=1)
    assert how_sure(row).startswith("95 % interval ")
    unsure = replace(row, test_acc=Interval(0.283, math.nan, math.nan))
    assert how_sure(unsure) == "no interval: its 3,929 test images are in 1 group(s)"
