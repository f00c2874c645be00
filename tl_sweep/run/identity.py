"""What was checked is what runs: the identity that goes with a job, and the refusal where the job finds another.

A sweep checks its jobs on one machine, and they may start hours later on another: images, a weight file or the program
itself may have changed by then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tl_sweep.base.errors import JobFailed
from tl_sweep.config.schema import Config, flattened
from tl_sweep.run.key import KEY_DIGITS, hash_of, meaning

DIGITS = 4  # of a field's SHA-256: enough to find the field that differs
CONTENTS = {"data": "the images, or their labels, are", "weights": "the weights to start from are"}


@dataclass(frozen=True)
class Identity:
    """Which run it is, short enough to travel with a job.

    key: as ``tl_sweep.run.key.key_of`` finds it. digests: 4 hex digits of the names of the fields that the key is made
    of, then 4 of the value of each, in the order of their names.
    """

    key: str
    digests: str


NOT_CHECKED = Identity("", "")


def identity_of(config: Config) -> Identity:
    """
    Raises:
        UserError: the data set or a weight file cannot be read.
    """
    return _identity(meaning(config))


def require_same(config: Config, checked: Identity) -> None:
    """Compare a run that is about to start with what its sweep has checked.

    Raises:
        JobFailed: it would be another run; says which field differs.
        UserError: the data set or a weight file cannot be read.
    """
    found = meaning(config)
    if _identity(found).key != checked.key:
        raise JobFailed(f"{'; '.join(_differences(found, checked))}; nothing was run: the same command checks it anew")


def _identity(found: dict[str, Any]) -> Identity:
    fields = flattened(found)
    names = sorted(fields)
    digests = [hash_of(part)[:DIGITS] for part in (names, *(fields[name] for name in names))]
    return Identity(hash_of(found)[:KEY_DIGITS], "".join(digests))


def _differences(found: dict[str, Any], checked: Identity) -> list[str]:
    fields = flattened(found)
    here, there = _each(_identity(found).digests), _each(checked.digests)
    if here[:1] != there[:1]:
        return ["the run has other fields than the sweep checked, as another version of tl_sweep would have"]
    return [
        f"{name}: {CONTENTS.get(name, f'its value, {fields[name]}, is')} not what the sweep checked"
        for name, mine, theirs in zip(sorted(fields), here[1:], there[1:], strict=True)
        if mine != theirs
    ]


def _each(digests: str) -> list[str]:
    return [digests[place : place + DIGITS] for place in range(0, len(digests), DIGITS)]
