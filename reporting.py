"""Tell people what there is to know: whom to call, what changed, how good the model is.

    python reporting.py   of the deployed model; print the first ten clients to call
                          (while none is deployed: of the candidate, without a list)

Reads  ingesteddata/ (openclients.csv, or finaldata.csv where no client is open; ledger.json),
       testdata/*.csv, the live release or models/scorecard.json, models/decision.json,
       diagnostics.json and history.db.
Writes models/report.html and report.pdf: the same story as a page and as a document (those that
       the setting `reports` names);
       models/clientrisk.csv: the clients to call, in order, with reasons and changes;
       models/clients.db: the same for the API to look up;
       models/confusionmatrix.png; when a run replaced the deployed model, that one's matrix, and
       the new model's in models/confusionmatrix2.png: before and after, on the same rows;
       models/history.db: what it takes to see later whether the list helped.

Without an id_column a client is its row: the list names "row 17" of the file that was ranked, which
says where the row stands and not who it is, so nothing can be compared with the last list.
"""

from __future__ import annotations

if __name__ == "__main__":
    from attrition.core import environment

    environment.require_packages()

import argparse
import logging
from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

from attrition.core import atomic_files, clock, formatting, progress
from attrition.core.config import Config
from attrition.core.releases import Release
from attrition.data.clients import TestClients
from attrition.engines.context import RunContext, read_context, score_clients
from attrition.model.champion import Champion, champion_of, live_champion
from attrition.model.compatibility import misfit
from attrition.model.metrics import Score
from attrition.monitoring.record import DecisionRecord, DriftRecord, last_decision
from attrition.ranking import call_list
from attrition.ranking.call_list import RankingResult
from attrition.report import build, drawing, html, inputs, pdf
from attrition.report.document import Pictures, Story
from attrition.report.drawing import Drawing
from attrition.report.inputs import Model, ReportInputs, Skill
from attrition.runs import cli

SECOND = "confusionmatrix2.png"  # of the new model; the first one is then that of the old

logger = logging.getLogger(__name__)


def run(context: RunContext, drawing: Drawing, outgoing: Release | None = None) -> list[Path]:
    """Have the matrix of the live model drawn, before it that of the model it has just replaced,
    and what the report shows of the live model.

    Args:
        outgoing: the release that this run replaced; None when it replaced none.

    Returns:
        The pictures that `tell` will write. A picture that cannot be drawn (no model, or too few
        test rows for a score) is not kept from an earlier model either, and the log says why.
    """
    config, live = context.config, context.champion
    first, second = config.confusion_matrix, config.output_model_path / SECOND
    pictures = [(first, live)]
    if outgoing is None:
        second.unlink(missing_ok=True)
    else:
        pictures = [(first, champion_of(config, outgoing)), (second, live)]
    matrices = []
    for path, champion in pictures:
        if champion is None:
            path.unlink(missing_ok=True)
            logger.info("%s: not drawn: no model is deployed", path)
        elif _draw(context, drawing, champion, f"Release {champion.release.id}", path):
            matrices.append(path)
    return matrices


def _draw(
    context: RunContext, drawing: Drawing, model: Champion | Model, title: str, path: Path
) -> bool:
    """Have a model's matrix drawn; where that is impossible, say why and leave no older picture."""
    score = _score(context, model)
    if isinstance(score, Score) and score.undefined:
        score = score.undefined + _rejections(context.test)
    if isinstance(score, str):
        path.unlink(missing_ok=True)
        logger.warning("%s: not drawn: %s", path, score)
        return False
    drawing.ask(path.name, "catalogue:matrix", score, title)
    return True


def draw_known(
    context: RunContext, drawing: Drawing, decision: DecisionRecord | None
) -> Model | None:
    """Have drawn what the report shows of model and data; it is known before clients are ranked.

    Args:
        decision: the decision record, perhaps without the ranking; None where no run is known.

    Returns:
        The model that the report speaks of; None where there is none.
    """
    config, champion = context.config, context.champion
    if not config.reports:
        return None
    found = decision.drift if decision else DriftRecord()
    drawing.ask("changes", "catalogue:of_changes", config.reports, found, config.labels)
    model = inputs.deployed_model(champion) if champion else inputs.candidate(config)
    if model:
        drawing.ask("card", "catalogue:of_card", config.reports, model, config.labels)
        if (skill := _skill(context, model)) is not None:
            drawing.ask("skill", "catalogue:of_skill", config.reports, model, skill)
    return model


def _skill(context: RunContext, model: Model) -> Skill | None:
    """The skill of the model where today's columns are those it knows."""
    score = _score(context, model)
    if isinstance(score, str):
        return None
    clients = context.test.clients
    labels = [] if clients.labels is None else clients.labels.tolist()
    return Skill(score, labels, model.card.probabilities(clients.columns))


def _score(context: RunContext, model: Champion | Model) -> Score | str:
    """A model's score on the test data; or why it cannot be asked about them."""
    config, card, live = context.config, model.card, context.champion
    if live is not None and card is live.card:
        return live.misfit or context.live_score
    misfitting = misfit(config, card, model.training)
    return misfitting or score_clients(card, context.test.clients, config)


def _rejections(test: TestClients) -> str:
    """The first thing wrong with the test data, since it may be why there are too few rows."""
    if not test.rejected:
        return ""
    first = test.rejected[0]
    where = first.file if first.line is None else f"{first.file}, line {first.line}"
    return f" (rejected rows or files: {len(test.rejected):,}; {where}: {first.reason})"


def tell(
    context: RunContext,
    drawing: Drawing,
    model: Model | None,
    *,
    decision: DecisionRecord | None,
    diagnosed: Mapping[str, Any],
    listed: RankingResult | str,
) -> list[Path]:
    """Write the report, as a page, as a document, or as both, as the settings ask for.

    Args:
        drawing: of `run` and `draw_known`; their pictures are written here.
        model: from `draw_known`.
        decision: the decision record; None where no run is known.
        diagnosed: the diagnostics, as `diagnostics.json` holds them; {} for none.
        listed: the ranking, or why there is none.

    Returns:
        The files. One that is not asked for is not kept from an earlier run either.
    """
    config = context.config
    for form, path in (("html", config.report), ("pdf", config.report_pdf)):
        if form not in config.reports:
            path.unlink(missing_ok=True)
    counts = None if isinstance(listed, str) else listed.counts()
    runs: list[DecisionRecord] = []
    if config.reports:
        runs = inputs.latest_runs(config, decision)
        to_draw = inputs.runs_to_draw(decision, runs, counts, config.model_score_threshold)
        drawing.ask("runs", "catalogue:of_runs", config.reports, to_draw)
    with progress.step("pictures"):
        drawn = drawing.results()
    _write_matrices(config, drawn)
    if not config.reports:
        return []
    groups = [group for group in drawn.values() if isinstance(group, Pictures)]
    pictures = reduce(Pictures.__or__, groups)
    report_inputs = ReportInputs(
        config=config,
        time=decision.time if decision else clock.now(),
        decision=decision,
        model=model,
        ranking=listed if isinstance(listed, str) else listed.ranking,
        listed=counts,
        diagnostics=diagnosed,
        runs=runs,
        ledger=context.ledger,
        plots=pictures.texts,
    )
    return _write(config, build.build_report(report_inputs), pictures)


def _write_matrices(config: Config, drawn: Mapping[str, Any]) -> None:
    for path in (config.confusion_matrix, config.output_model_path / SECOND):
        if path.name in drawn:
            with atomic_files.replacing(path) as temporary:
                temporary.write_bytes(drawn[path.name])


def _write(config: Config, story: Story, pictures: Pictures) -> list[Path]:
    """Replace the page and the document, each whole or not at all."""
    written = []
    if "html" in config.reports:
        atomic_files.write_text(config.report, html.render(story, pictures.pages))
        written.append(config.report)
    if "pdf" in config.reports:
        with atomic_files.replacing(config.report_pdf) as temporary:
            temporary.write_bytes(pdf.render(story, pictures.documents))
        written.append(config.report_pdf)
    return written


def _report(config: Config, _arguments: argparse.Namespace) -> int:
    with drawing.beside() as drawn:
        context = read_context(config, live_champion(config))
        matrices = run(context, drawn) if context.champion else _draw_candidate(context, drawn)
        model = draw_known(context, drawn, last_decision(config))
        listed = call_list.rank_clients(config, context.ledger, context.champion)
        call_list.record_anew(config, listed)
        if isinstance(listed, str):
            print(formatting.no_list(listed))
        else:
            print(call_list.top_table(listed))
            print(formatting.within(config.client_risk, config.root))
        decision = last_decision(config)
        diagnosed = atomic_files.read_json_object(config.diagnostics)
        reports = tell(context, drawn, model, decision=decision, diagnosed=diagnosed, listed=listed)
    for path in [*matrices, *reports]:
        print(formatting.within(path, config.root))
    return 0 if matrices else 1


def _draw_candidate(context: RunContext, drawing: Drawing) -> list[Path]:
    model, path = inputs.candidate(context.config), context.config.confusion_matrix
    if model is None:
        path.unlink(missing_ok=True)
        logger.warning("no model is deployed and none is trained yet; run fullprocess.py")
        return []
    is_drawn = _draw(context, drawing, model, "Candidate, not deployed", path)
    return [path] if is_drawn else []


def main(argv: Sequence[str] | None = None) -> int:
    """Rank the clients, draw the current model's confusion matrix, write the report."""
    return cli.run_stage(cli.parser(__doc__), argv, _report)


if __name__ == "__main__":
    raise SystemExit(main())
