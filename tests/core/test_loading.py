"""What is loaded by name is left out of later searches for garbage, which go on as before."""

from __future__ import annotations

import gc

import pytest

from attrition.core.loading import load


def test_what_is_loaded_is_searched_for_garbage_no_more() -> None:
    frozen = gc.get_freeze_count()
    try:
        assert load("attrition.core.loading:load") is load
        assert gc.get_freeze_count() > frozen
        assert gc.isenabled()
        with pytest.raises(ModuleNotFoundError):
            load("no_such_module:run")
        assert gc.isenabled()
        gc.disable()
        load("json")
        assert not gc.isenabled()
    finally:
        gc.enable()
        gc.unfreeze()
