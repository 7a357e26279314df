"""Predictions: `POST /prediction`, and `POST /invocations` for what speaks MLflow's protocol."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from functools import partial
from itertools import repeat
from typing import IO, Any

import numpy as np
from flask import Blueprint, Response, abort, g, request
from numpy.typing import NDArray
from werkzeug.exceptions import (
    BadRequest,
    ClientDisconnected,
    RequestEntityTooLarge,
    RequestTimeout,
)
from werkzeug.wsgi import get_input_stream

from attrition.core.config import Config
from attrition.core.errors import DataError
from attrition.model.reasons import reasons_of
from attrition.web import (
    data_files,
    feature_parsing,
    prometheus,
    query_parameters,
    responses,
    threads,
)
from attrition.web.live_model import Served
from attrition.web.state import served, state

MAXIMUM_BYTES = 16 * 2**20  # of a request's body, and of a data file it names
MAXIMUM_ROWS = 200_000
MAXIMUM_EXPLAINED_ROWS = 1_000
MAXIMUM_REASONS = 20
LONG_BYTES = 2**16  # a longer body is not read in the thread that answers
# So many are held at once, so that memory stays bounded.
MAXIMUM_LARGE_BODIES, MAXIMUM_LONG_ANSWERS = 8, 16
_LARGE_BYTES = 2**20
_MOST_KEYS, _KEYS_OF_EACH = 100_000, 100  # as colons: so many, or so many in each list and object
_MOST_BRACKETS = 2 * MAXIMUM_ROWS  # in JSON: a row has one, and texts may hold some
_ROWS_AT_ONCE = 2**12  # of an answer that is sent piece by piece
_FORMS = frozenset(("filepath", "records"))  # a request in JSON has exactly one of them
# A body that names a data file, however JSON writes its letters: \u0066 is an f.
_NAMES_FILE = re.compile(rb"filepath|\\u00[67]")
_COMPRESSED = "expected a body that is not compressed"
_TOO_LARGE = f"the body is larger than {MAXIMUM_BYTES:,} bytes"
_CUT_OFF = "the body ends before the end that was announced"
_BUSY = "other tables took all the time that this request had; ask again"
_LATE = "the body did not come within the time limit"

blueprint = Blueprint("predicting", __name__)
_large_bodies = threading.Semaphore(MAXIMUM_LARGE_BODIES)
_long_answers = threading.Semaphore(MAXIMUM_LONG_ANSWERS)


@blueprint.post("/prediction")
def prediction() -> Response:
    """Who is likely to leave, for records, a CSV table or a named data file."""
    reasons = query_parameters.whole_number("reasons", 0, 0, MAXIMUM_REASONS)
    wants_contributions = query_parameters.yes_or_no("contributions")
    config, live, kind = state().config, served(), _content_kind()
    wanted = {"reasons": reasons, "wants_contributions": wants_contributions}
    wants_csv = responses.preferred(responses.JSON, responses.CSV) == responses.CSV
    if wants_csv and wants_contributions:
        abort(400, "contributions are given in JSON alone; reasons=N gives reasons in CSV")
    answer = _computed(_prediction, config, live, kind, **wanted)
    if wants_csv:
        return _until_sent(_as_csv(answer, reasons))
    return _until_sent(responses.json_answer(answer))


@blueprint.post("/invocations")
def invocations() -> Response:
    """The predictions alone, asked for in any way that MLflow's scoring protocol knows."""
    answer = _computed(_invocation, served(), _content_kind())
    return _until_sent(responses.json_answer({"predictions": answer["predictions"]}))


def _computed(
    answer: Callable[..., dict[str, Any]], *arguments: Any, **named: Any
) -> dict[str, Any]:
    """What is answered to the request's body; the clients in it are counted."""
    body = _body()
    work = partial(answer, body, *arguments, **named)
    is_long = len(body) > LONG_BYTES or _NAMES_FILE.search(body)
    if is_long:
        _hold(_long_answers)
    try:
        result = threads.apart(work) if is_long else work()
    except DataError as error:
        abort(400, str(error))
    except TimeoutError:
        abort(503, _BUSY)
    prometheus.count_predictions(len(result["predictions"]))
    return result


def _prediction(
    body: bytes, config: Config, live: Served, kind: str, *, reasons: int, wants_contributions: bool
) -> dict[str, Any]:
    """Predictions for the clients of a body, and what explains them."""
    table = _requested(body, config, live, kind)
    answer = _predictions(live, table)
    if reasons or wants_contributions:
        answer |= _explanations(live, table, reasons, wants_contributions)
    return answer


def _invocation(body: bytes, live: Served, kind: str) -> dict[str, Any]:
    """Predictions for the clients of a body in one of MLflow's forms."""
    names = live.card.numeric_columns, live.card.categorical_columns
    if kind == responses.CSV:
        return _predictions(live, feature_parsing.columns_from_csv(body, *names))
    _refuse_many_rows(body)
    decoded = feature_parsing.decoded_mlflow_json(body)
    table = feature_parsing.columns_from_mlflow(decoded, *names, live.card.levels)
    return _predictions(live, table)


def _requested(body: bytes, config: Config, live: Served, kind: str) -> feature_parsing.Columns:
    """The client rows of a prediction request."""
    names = live.card.numeric_columns, live.card.categorical_columns
    if kind == responses.CSV:
        return feature_parsing.columns_from_csv(body, *names)
    _refuse_many_rows(body)
    decoded = feature_parsing.decoded_json(body)
    if not isinstance(decoded, dict) or len(_FORMS & decoded.keys()) != 1:
        raise DataError('expected an object with either "filepath" or "records"')
    if "records" in decoded:
        return feature_parsing.columns_from_records(decoded["records"], *names, live.card.levels)
    try:
        return feature_parsing.columns_from_csv(_named_file(config, decoded["filepath"]), *names)
    except DataError as error:  # whoever asks has not sent the value, and may not know it
        raise DataError(str(error).partition(", found ")[0]) from None


def _refuse_many_rows(body: bytes) -> None:
    """Refuse JSON with far more rows than are allowed, or keys than rows have, before decoding.

    Raises:
        RequestEntityTooLarge: it is such a body.
    """
    brackets = body.count(b"{") + body.count(b"[")
    if body.count(b":") > max(_MOST_KEYS, _KEYS_OF_EACH * brackets):
        raise RequestEntityTooLarge("the body holds more keys than records of clients do")
    if brackets > _MOST_BRACKETS:
        raise RequestEntityTooLarge(
            f"expected at most {MAXIMUM_ROWS:,} rows, and at most {_MOST_BRACKETS:,} "
            "opening brackets and braces"
        )


def _content_kind() -> str:
    """JSON or CSV; any other kind of body ends the request."""
    environ = request.environ
    kind = str(environ.get("CONTENT_TYPE", ""))
    if kind in (responses.JSON, responses.CSV) and "HTTP_CONTENT_ENCODING" not in environ:
        return kind  # the most usual case first
    kind = request.mimetype
    if kind not in (responses.JSON, responses.CSV):
        abort(415, "expected a body of type application/json or text/csv")
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if charset not in ("utf-8", "utf8", "us-ascii"):
        abort(415, "expected a body in UTF-8")
    if environ.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
        abort(415, _COMPRESSED)
    return kind


def _body() -> bytes:
    """The request's body; one over the limit ends the request, whether it has a length or not.

    Read in large steps: in small ones a server copies the rest at each step.
    """
    if request.environ.get("HTTP_TRANSFER_ENCODING", "chunked").strip().lower() != "chunked":
        abort(415, _COMPRESSED)
    length = request.content_length
    if length is not None and length > MAXIMUM_BYTES:
        raise RequestEntityTooLarge(_TOO_LARGE)
    # One byte more than is allowed tells a body that goes on from one that ends there.
    stream = get_input_stream(request.environ, max_content_length=MAXIMUM_BYTES + 1)
    body = _read(stream, MAXIMUM_BYTES + 1 if length is None else length)
    if len(body) > MAXIMUM_BYTES:
        raise RequestEntityTooLarge(_TOO_LARGE)
    if length is not None and len(body) < length:
        raise ClientDisconnected(_CUT_OFF)
    return body


def _read(stream: IO[bytes], most: int) -> bytes:
    """What a stream holds, up to so many bytes; the request ends here where it breaks off."""
    # Not on top: where no gunicorn serves, it takes longer to load than all of this package.
    from gunicorn.http.errors import ParseException

    pieces: list[bytes] = []
    left = most
    try:
        while left > 0 and (piece := stream.read(min(left, _LARGE_BYTES))):
            pieces.append(piece)
            left -= len(piece)
            if most - left >= _LARGE_BYTES:
                _hold(_large_bodies)
    except ParseException:
        raise BadRequest("the chunks of the body are not as HTTP has them") from None
    except (ClientDisconnected, TimeoutError) as error:
        if isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError):
            raise RequestTimeout(_LATE) from None
        raise ClientDisconnected(_CUT_OFF) from None
    return b"".join(pieces)


def _hold(semaphore: threading.Semaphore) -> None:
    """Count the request in, once a semaphore allows one more; `_let_go` counts it out."""
    held = g.setdefault("held", [])
    if semaphore in held:
        return
    try:
        semaphore.acquire()
    except TimeoutError:
        abort(503, _BUSY)
    held.append(semaphore)


def _until_sent(response: Response) -> Response:
    """The same answer; a long one counts as such until it is sent."""
    if _long_answers in g.get("held", ()):
        g.held.remove(_long_answers)
        response.call_on_close(_long_answers.release)
        g.long_answer = response
    return response


@blueprint.teardown_request
def _let_go(error: BaseException | None) -> None:
    """Let others come in, before the answer is sent; after an error it is another that is sent."""
    if error is not None and "long_answer" in g:
        g.long_answer.close()
    for semaphore in g.pop("held", ()):
        semaphore.release()


def _named_file(config: Config, name: Any) -> bytes:
    if not isinstance(name, str):
        raise DataError("filepath: expected text")
    try:
        return data_files.read_data_file(config, name, MAXIMUM_BYTES)
    except FileNotFoundError:
        abort(404, "filepath: there is no such file in the data folders")
    except OverflowError:
        raise RequestEntityTooLarge(f"the file is larger than {MAXIMUM_BYTES:,} bytes") from None


def _predictions(live: Served, table: feature_parsing.Columns) -> dict[str, Any]:
    """The predictions for the clients of a table, as the API answers them."""
    probabilities = live.card.probabilities(table)
    if len(probabilities) > MAXIMUM_ROWS:
        raise RequestEntityTooLarge(f"expected at most {MAXIMUM_ROWS:,} rows")
    return {
        "predictions": (probabilities >= live.card.threshold).astype(np.int8),
        "probabilities": probabilities,
        "threshold": live.card.threshold,
        "model_version": live.version,
    }


def _explanations(
    live: Served, table: feature_parsing.Columns, reasons: int, wants_contributions: bool
) -> dict[str, Any]:
    """Why each client's risk is what it is, in words and in points."""
    card = live.card
    rows = len(table[card.numeric_columns[0] if card.numeric else card.categorical_columns[0]])
    if rows > MAXIMUM_EXPLAINED_ROWS:
        raise RequestEntityTooLarge(
            f"reasons and contributions are given for at most {MAXIMUM_EXPLAINED_ROWS:,} rows"
        )
    answer: dict[str, Any] = {}
    if reasons:
        explained = reasons_of(card, table, reasons)
        answer["reasons"] = [[live.words.of(reason) for reason in each] for each in explained]
    if wants_contributions:
        answer |= live.explained(table)
    return answer


def _as_csv(answer: dict[str, Any], reasons: int) -> Response:
    """One line for each client, in the order of the request."""
    header = ["prediction", "probability", *(f"reason_{n + 1}" for n in range(reasons))]
    predictions, probabilities = answer["predictions"], answer["probabilities"]
    explanations = answer.get("reasons") or repeat([], len(predictions))
    rows = (
        [prediction, probability, *texts, *[""] * (reasons - len(texts))]
        for prediction, probability, texts in zip(
            _values(predictions), _values(probabilities), explanations, strict=True
        )
    )
    response = responses.csv_answer(header, rows)
    response.headers["Model-Version"] = answer["model_version"]
    return response


def _values(array: NDArray[Any]) -> Iterator[Any]:
    """Python's own values, some at a time: all at once they take several times the memory."""
    for start in range(0, len(array), _ROWS_AT_ONCE):
        yield from array[start : start + _ROWS_AT_ONCE].tolist()
