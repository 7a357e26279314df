"""The application for a WSGI server, which names it `wsgi:app`; importing this reads the settings.

    gunicorn wsgi:app

Reads  the settings file that ATTRITION_CONFIG names, else config.json beside the scripts.
"""

from __future__ import annotations

import os
from pathlib import Path

from app import create_app
from attrition.core.config import load_config

_named = os.environ.get("ATTRITION_CONFIG")
app = create_app(load_config(Path(_named) if _named else None))
