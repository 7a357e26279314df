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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from attrition.core import atomic_files, clock, formatting, progress
from attrition.core.config import Config
from attrition.core.releases import Release
from attrition.data.clients import TestClients
from attrition.engines.context import RunContext, read_context, score_clients
from attrition.model.champion import Champion, champion_of, live_champion
from attrition.model.compatibility import misfit
from attrition.model.metrics import Score
from attrition.monitoring.record import DecisionRecord, last_decision
from attrition.ranking import call_list
from attrition.ranking.call_list import RankingResult
from attrition.report import build, html, inputs, pdf
from attrition.report.document import Story
from attrition.report.figures import catalogue, model_quality, style
from attrition.report.figures.style import Absent, Picture
from attrition.report.inputs import Model, ReportInputs
from attrition.runs import cli

SECOND = "confusionmatrix2.png"  # of the new model; the first one is then that of the old
DOTS_PER_INCH = 160
COLOURS = {
    "ink": style.INK,
    "soft": style.SOFT,
    "line": style.LINE,
    "accent": style.ACCENT,
    "alarm": style.ALARM,
}

Rendered = TypeVar("Rendered", str, bytes)

logger = logging.getLogger(__name__)


def run(context: RunContext, outgoing: Release | None = None) -> list[Path]:
    """Draw the matrix of the live model, and before it that of the model it has just replaced.

    Args:
        outgoing: the release that this run replaced; None when it replaced none.

    Returns:
        The pictures that are there now. A picture that cannot be drawn (no model, or too few test
        rows for a score) is not kept from an earlier model either, and the log says why.
    """
    config, live = context.config, context.champion
    first, second = config.confusion_matrix, config.output_model_path / SECOND
    pictures = [(first, live)]
    if outgoing is None:
        second.unlink(missing_ok=True)
    else:
        pictures = [(first, champion_of(config, outgoing)), (second, live)]
    drawn = []
    for path, champion in pictures:
        if champion is None:
            path.unlink(missing_ok=True)
            logger.info("%s: not drawn: no model is deployed", path)
        elif _draw(context, champion, f"Release {champion.release.id}", path):
            drawn.append(path)
    return drawn


def _draw(context: RunContext, model: Champion | Model, title: str, path: Path) -> bool:
    """Draw a model's matrix; where that is not possible, say why and leave no older picture."""
    score = _score(context, model)
    if isinstance(score, Score) and score.undefined:
        score = score.undefined + _rejections(context.test)
    if isinstance(score, str):
        path.unlink(missing_ok=True)
        logger.warning("%s: not drawn: %s", path, score)
        return False
    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it tells of its font cache
    picture = model_quality.confusion(score, title)
    assert isinstance(picture, style.Picture), "the score is defined"
    with atomic_files.replacing(path) as temporary:
        temporary.write_bytes(style.png(picture, DOTS_PER_INCH))
    return True


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
    decision: DecisionRecord | None,
    diagnosed: Mapping[str, Any],
    listed: RankingResult | str,
) -> list[Path]:
    """Write the report, as a page, as a document, or as both, as the settings ask for.

    Args:
        decision: the decision record; None where no run is known.
        diagnosed: the diagnostics, as `diagnostics.json` holds them; {} for none.
        listed: the ranking, or why there is none.

    Returns:
        The files. One that is not asked for is not kept from an earlier run either.
    """
    config, champion = context.config, context.champion
    for form, path in (("html", config.report), ("pdf", config.report_pdf)):
        if form not in config.reports:
            path.unlink(missing_ok=True)
    if not config.reports:
        return []
    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it tells of its font cache
    model = inputs.deployed_model(champion) if champion else inputs.candidate(config)
    runs = inputs.latest_runs(config, decision)
    counts = None if isinstance(listed, str) else listed.counts()
    drawn = catalogue.change_pictures(decision, runs, config.model_score_threshold, config.labels)
    drawn += catalogue.effect_pictures(decision, runs)
    drawn += catalogue.profit_pictures(counts)
    drawn += _pictures_of(context, model) if model else []
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
        plots=catalogue.picture_texts(drawn),
    )
    pictures = [one for one in drawn if isinstance(one, Picture)]
    return _write(config, build.build_report(report_inputs), pictures)


def _write(config: Config, story: Story, pictures: Sequence[Picture]) -> list[Path]:
    """Replace the page and the document, each whole or not at all."""
    written = []
    if "html" in config.reports:
        elements = _rendered(pictures, "pictures of the page", style.svg)
        atomic_files.write_text(config.report, html.render(story, elements))
        written.append(config.report)
    if "pdf" in config.reports:
        outlines = _rendered(pictures, "pictures of the document", style.svg_outlines)
        with atomic_files.replacing(config.report_pdf) as temporary:
            temporary.write_bytes(pdf.render(story, outlines, COLOURS))
        written.append(config.report_pdf)
    return written


def _rendered(
    pictures: Sequence[Picture], what: str, render: Callable[[Picture], Rendered]
) -> dict[str, Rendered]:
    """Each picture in one form, by its name; who watches sees how far it is."""
    rendered = {}
    with progress.step(what, total=len(pictures)) as advance:
        for picture in pictures:
            rendered[picture.name] = render(picture)
            advance()
    return rendered


def _pictures_of(context: RunContext, model: Model) -> list[Picture | Absent]:
    """What the model has learnt, and its skill where today's columns are those it knows."""
    learnt = catalogue.scorecard_pictures(model, context.config.labels)
    score = _score(context, model)
    if isinstance(score, str):
        return learnt
    clients = context.test.clients
    labels = [] if clients.labels is None else clients.labels.tolist()
    probabilities = model.card.probabilities(clients.columns)
    return [*catalogue.quality_pictures(model, score, labels, probabilities), *learnt]


def _report(config: Config, _arguments: argparse.Namespace) -> int:
    context = read_context(config, live_champion(config))
    drawn = run(context) if context.champion else _draw_candidate(context)
    listed = call_list.rank_clients(config, context.ledger, context.champion)
    call_list.record_anew(config, listed)
    if isinstance(listed, str):
        print(formatting.no_list(listed))
    else:
        print(call_list.top_table(listed))
        print(formatting.within(config.client_risk, config.root))
    decision = last_decision(config)
    diagnosed = atomic_files.read_json_object(config.diagnostics)
    for path in [*drawn, *tell(context, decision, diagnosed, listed)]:
        print(formatting.within(path, config.root))
    return 0 if drawn else 1


def _draw_candidate(context: RunContext) -> list[Path]:
    model, path = inputs.candidate(context.config), context.config.confusion_matrix
    if model is None:
        path.unlink(missing_ok=True)
        logger.warning("no model is deployed and none is trained yet; run fullprocess.py")
        return []
    return [path] if _draw(context, model, "Candidate, not deployed", path) else []


def main(argv: Sequence[str] | None = None) -> int:
    """Rank the clients, draw the current model's confusion matrix, write the report."""
    return cli.run_stage(cli.parser(__doc__), argv, _report)


if __name__ == "__main__":
    raise SystemExit(main())
