"""What a column's name says about its content: an id, a name, a client's value.

A name alone does not decide: `column_choice` also looks at the values. Standard library only.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

CLIENT_KEY, ACCOUNT_KEY, BARE_KEY, CLIENT_NAME, OTHER_NAME, OTHER_KEY = range(6)

_FIRMS = "corporation|corporate|company|firm|organi[sz]ation"
_CLIENTS = f"{_FIRMS}|client|customer|cust|subscriber|member|user|employee|person|household|kunden"
_ACCOUNTS = "account|acct|policy|contract|card|phone|telephone|mobile|subscription"
_KEYS = "id|ids|identifier|identity|uuid|guid|key|code|number|num|nummer|no|nr|ref|reference"
_KEY_WORDS = set(_KEYS.split("|")) | {"msisdn", "iban", "ssn", "zip", "postcode"}
_BARE_KEYS = {"id", "uuid", "guid", "key", "identifier", "ident", "msisdn"}
_COUNTERS = re.compile(
    r"(rows?|index|idx|unnamed|line|serial|seq|sequence|sl|sr|s(?=no))"
    r"(number|num|nummer|no|nr|n|id|index|names?)?\d*|number|num|no|nr|"
)
_PEOPLE = re.compile(
    rf"({_CLIENTS}|contact|father|mother|spouse)*(sur|last|first|fore|given|family|middle|maiden"
    rf"|full|nick|vor|nach)names?"
)
# What laws against discrimination are about, also in German, French and Spanish: parts of long
# words or of several, and short words.
_SENSITIVE_PARTS = (
    "gender birth nationalit nacionalid citizen ethnic religio catholic muslim jewish marital "
    "married widow divorc disab pregnan maternity sexual political geschlecht spouse hispanic "
    "latino foreignborn foreignworker immigra refugee nativelang nativeamerican mothertongue "
    "veteran criminal skincolo geburt denaissance datenaissance nacimiento familienstand "
    "etatcivil estadocivil staatsangeh konfession"
).split()
_SENSITIVE_WORDS = set(
    "sex sexe sexo age edad alter race raza dob senior health illness faith caste single female "
    "females male males woman women genero black white nonwhite asian hisp caucasian "
    "union naissance".split()
)
# Beside which words these are not about people: the age of a contract, a white label.
_COLOR_OF_THINGS = set("label list listed friday box card paper goods color colour wine".split())
_AGED_THINGS = set(
    "account company contract corporation firm policy device vehicle car phone card equipment "
    "handset days".split()
)
_OF_THINGS = {
    "age": _AGED_THINGS,
    "alter": _AGED_THINGS,
    "black": _COLOR_OF_THINGS,
    "white": _COLOR_OF_THINGS,
    "single": {"line", "lines"},
    "union": {"credit", "western", "european", "pay"},
}
# Names of a client's value, the surest first.
_WORTH = (
    re.compile(r"cltv|clv|ltv|lifetimevalue|(client|customer|account|contract)value"),
    re.compile(r"acv|arr|mrr|annualrevenue|monthlyrevenue|revenues?|turnover|sales|premium"),
    re.compile(r"spend|spent|spending|spendings|monetary|(monthly|annual|yearly)(charges?|fees?)"),
    re.compile(r"amount|amt|charges?|billed|bill|fees?|volume"),
    re.compile(r"balance|bal|deposits?"),
)
_NO_WORTH = set(
    "count number num no hike change chng growth ratio rate pct percent percentage share "
    "discount cashback refund method type category flag date score group band calls minutes "
    "limit per diff rank class status rep payment".split()
)
# Words in an outcome's name that say nothing about its subject.
_OUTCOME_WORDS = set(
    "is has was flag label value status class target indicator outcome y yn".split()
)
_SHORTEST_OUTCOME = 4


def words(name: str) -> list[str]:
    """The words of a name in lower case, without accents: `customerID`, `area_code`, `Género`."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    return [w.lower() for w in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", plain)]


def key_rank(name: str) -> int | None:
    """How surely a name is that of the client's id, 0 the surest; None if it is not.

    CLIENT_KEY `CustomerId`, ACCOUNT_KEY `policy_no`, BARE_KEY `id`, CLIENT_NAME `company`,
    OTHER_NAME `name`, which people may share, OTHER_KEY `case number`.
    """
    plain = _squeezed(name)
    if is_counter(name):
        return None
    for rank, whose in ((CLIENT_KEY, _CLIENTS), (ACCOUNT_KEY, _ACCOUNTS)):
        if re.search(rf"({whose})({_KEYS})$", plain):
            return rank
    if plain in _BARE_KEYS:
        return BARE_KEY
    if re.fullmatch(rf"{_CLIENTS}|account|({_FIRMS})name", plain):
        return CLIENT_NAME
    if re.fullmatch(rf"({_CLIENTS}|account)?names?", plain):
        return OTHER_NAME
    return OTHER_KEY if is_key(name) else None


def is_key(name: str) -> bool:
    """Whether a name ends like those of ids, codes and reference numbers."""
    return words(name)[-1:] != [] and words(name)[-1] in _KEY_WORDS


def is_code(name: str) -> bool:
    """Whether numbers in a column of this name identify something and are not amounts."""
    last = words(name)[-1:]
    return last in (["id"], ["code"], ["zip"], ["postcode"]) or key_rank(name) in (
        CLIENT_KEY,
        ACCOUNT_KEY,
    )


def is_counter(name: str) -> bool:
    """Whether a name is that of a column that counts the rows: `RowNumber`, `Unnamed: 0`, ``."""
    return _COUNTERS.fullmatch(_squeezed(name)) is not None


def is_name_of_people(name: str) -> bool:
    """Whether a name is `Surname`, `first_name` or similar."""
    return _PEOPLE.fullmatch(_squeezed(name)) is not None


def is_sensitive(name: str) -> bool:
    """Whether a name is about sex, age, origin or similar: the law may forbid decisions by it."""
    parts = set(words(name))
    sensitive = {w for w in parts & _SENSITIVE_WORDS if not parts & _OF_THINGS.get(w, set())}
    return bool(sensitive) or any(part in "".join(words(name)) for part in _SENSITIVE_PARTS)


def worth_rank(name: str) -> tuple[int, int] | None:
    """How surely a name is that of a client's value, as (kind, number of words); least is best."""
    name_words = words(name)
    if _NO_WORTH & set(name_words):
        return None
    joined = [*name_words, *map("".join, pairwise(name_words))]
    for rank, worth in enumerate(_WORTH):
        if any(worth.fullmatch(word) for word in joined):
            return rank, len(name_words)
    return None


def carries(name: str, target: str) -> bool:
    """Whether a name contains the outcome's name, as `Churn_reason` contains `churned`."""
    target_words = [_stem(word) for word in words(target) if word not in _OUTCOME_WORDS]
    name_words = [_stem(word) for word in words(name)]
    if len("".join(target_words)) < _SHORTEST_OUTCOME:
        return False
    starts = range(len(name_words) - len(target_words) + 1)
    return any(name_words[i : i + len(target_words)] == target_words for i in starts)


def _stem(word: str) -> str:
    return re.sub(r"(ed|s)$", "", word) if len(word) > _SHORTEST_OUTCOME else word


def _squeezed(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).casefold()
