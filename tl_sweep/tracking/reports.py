"""Comparisons' pages, kept in a tracking store beside the runs that they are about."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tl_sweep.tracking.client import connect, is_gone, store_errors
from tl_sweep.tracking.names import Tag
from tl_sweep.tracking.store import experiment_id, find_run, ids_of

REPORTS = "{} reports"  # an experiment of their own, so that a sweep's experiment holds its runs and nothing else


def keep_report(uri: str, experiment: str, title: str, path: Path) -> None:
    """Keep a comparison's page as the artifact of one run per title, beside the experiment; the newest replaces.

    Raises:
        StoreAway: a server does not answer.
        UserError: the store refuses.
    """
    from mlflow.exceptions import MlflowException

    with store_errors(uri):
        client = connect(uri)
        where = experiment_id(client, uri, REPORTS.format(experiment))
        own_id = hashlib.sha256(title.encode()).hexdigest()[:32]
        run_id = find_run(client, where, own_id)
        if not run_id:
            run_id = client.create_run(where, tags={Tag.RUN_ID: own_id}, run_name=title).info.run_id
        try:
            client.log_artifact(run_id, str(path))
            client.set_terminated(run_id)
        except MlflowException as error:
            if not is_gone(error):
                raise
        # Another command that made this report at the same moment may have found none, either, and have made a run,
        # too. Whoever comes last sees all of them, and all agree on the one that stays.
        for other in ids_of(client, where, own_id)[1:]:
            client.delete_run(other)
