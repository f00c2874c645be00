"""Starting weights: ``resolve`` says what ``model.weights`` means, ``fetch`` brings the files, ``files`` opens them.

The first two check everything without importing torch, so that a sweep is refused before its first job.
"""
