"""Which listed clients are not called, so that the others can be compared with them.

The client's id decides, by a hash: the same client is on the same side in every list and run,
nothing needs to be remembered, and a larger share includes the clients of a smaller one. Anyone
can check a client:

    import hashlib
    digest = hashlib.sha256(("my salt" + "Acme Ltd").encode()).digest()
    print(int.from_bytes(digest[:8], "big") < 0.2 * 2**64)  # held out, of a share of 0.2?
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray


def is_held_out(ids: Iterable[str], share: float, salt: str) -> NDArray[np.bool_]:
    """Whether each client is held out.

    The first 8 bytes of SHA-256(salt + id), both in UTF-8, as a fraction of 2^64, are below the
    share. Another salt draws another group, independent of this one.

    Args:
        ids: of n clients.
        share: of the clients to hold out, a fraction 0-1, below 1.
        salt: fixed for the length of a study.

    Returns:
        Array of shape (n_clients,).
    """
    if not 0 <= share < 1:
        raise ValueError(f"share: expected a fraction of at least 0 and below 1, found {share}")
    digests = b"".join([sha256((salt + name).encode()).digest()[:8] for name in ids])
    # The product is exact, and whole numbers are below it when they are below the next whole one.
    bound = np.uint64(math.ceil(share * 2**64))
    return np.asarray(np.frombuffer(digests, dtype=">u8") < bound)
