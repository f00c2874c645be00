"""Depths of the residual networks in He et al.: Deep Residual Learning for Image Recognition (2015)."""

CIFAR_DEPTHS = (8, 14, 20, 32, 44, 56, 110)
"""Section 4.2, for small images."""

BOTTLENECK_DEPTHS = (50, 101, 152)
IMAGENET_DEPTHS = (18, 34, *BOTTLENECK_DEPTHS)
"""Table 1."""
