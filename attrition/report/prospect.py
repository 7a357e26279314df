"""What a run would do now, in words; `fullprocess.py --dry-run` prints it."""

from __future__ import annotations

from collections.abc import Sequence

from attrition.core import releases
from attrition.core.config import Config
from attrition.data.ledger import read_ledger


def describe_prospect(config: Config, new: Sequence[str], waiting: Sequence[str]) -> list[str]:
    """What a run that is not idle would do, a sentence for each part of it.

    Args:
        config: the settings.
        new: names of the files it would ingest.
        waiting: names of the files that are still being written.
    """
    sentences = [f"New files a run would ingest: {', '.join(new) or 'none'}."]
    if waiting:
        sentences.append(f"Still being written, left for later: {', '.join(waiting)}.")
    live = releases.live_release_id(config.prod_deployment_path)
    if live is not None:
        sentences.append(
            f"It would check the deployed model, {live}, train a candidate if there are other "
            f"rows to learn from, and deploy it if it is better."
        )
    elif new or read_ledger(config.ledger).committed_rows:
        sentences.append("No model is deployed: it would deploy the first one it can train.")
    else:
        sentences.append("No model is deployed, and there are no rows to train one on.")
    return sentences
