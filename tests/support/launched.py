"""Tasks that the launcher's tests run in processes of their own: functions that can be imported."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from omegaconf import DictConfig

from tl_sweep.base.errors import UserError
from tl_sweep.run.progress import Epoch, progress_log


def tell_surroundings(node: DictConfig) -> dict[str, object]:
    names = ("CUDA_VISIBLE_DEVICES", "COLOUR", "SHAPE")
    known = {name: os.environ.get(name) for name in names}
    import torch  # the others start sooner without

    return {
        **known,
        "threads": torch.get_num_threads(),
        "directory": os.getcwd(),
        "pid": os.getpid(),
        "seed": node.seed,
    }


def speak(node: DictConfig) -> float:
    print("first line\nsecond", end=" ")
    progress_log.info("", extra={"epoch": Epoch("a title", 3, 7)})
    print("line")
    print("warning: the same", file=sys.stderr)
    print("the end", end="")
    return float(node.seed)


def fail(node: DictConfig) -> float:
    raise UserError("no such thing; mend it") if node.seed == 0 else ZeroDivisionError("by zero")


def run_out_of_memory(node: DictConfig) -> float:
    if _times("memory", node.seed) == 1:
        time.sleep(0.5)
        raise MemoryError
    return 1.0


def die_once(node: DictConfig) -> float:
    if _times("deaths", node.seed) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return float(node.seed)


def die_always(node: DictConfig) -> float:
    os.kill(os.getpid(), signal.SIGSEGV)
    return 0.0


def leave(node: DictConfig) -> float:
    os._exit(3)


def sleep(node: DictConfig) -> float:
    """Long, unless the launcher asks it to stop."""
    Path(f"asleep-{node.seed}").write_text(str(os.getpid()))
    signal.signal(signal.SIGTERM, _stop)
    time.sleep(60)
    return 0.0


def _stop(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


def _times(name: str, seed: int) -> int:
    """How often this was asked, over all processes."""
    path = Path(f"{name}-{seed}")
    path.write_text(path.read_text() + "." if path.exists() else ".")
    return len(path.read_text())
