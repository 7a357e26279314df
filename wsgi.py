"""The application for a WSGI server, which names it `wsgi:app`; importing this reads the settings.

    make serve                                        the page and the API on this machine
    gunicorn wsgi:app                                 the same, with gunicorn's options
    ATTRITION_CONFIG=/path/config.json gunicorn wsgi:app

Reads  the settings file that ATTRITION_CONFIG names, else config.json beside the scripts.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from app import create_app
from attrition.core.command_line import Parser
from attrition.core.config_parsing import load_config

if __name__ == "__main__":
    form = argparse.RawDescriptionHelpFormatter
    parser = Parser(usage="gunicorn wsgi:app", description=__doc__, formatter_class=form)
    parser.parse_args()
    parser.error("a server serves this, and it does nothing by itself: make serve")

_named = os.environ.get("ATTRITION_CONFIG")
app = create_app(load_config(Path(_named) if _named else None))
