"""Preloaded first, in the fork server alone: signals for the whole process group are the launcher's business."""

import signal

signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
