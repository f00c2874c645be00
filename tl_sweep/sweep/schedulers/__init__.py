"""How a sweep spends its time: which jobs are run, in which order, for how many epochs."""
