"""Where the project stands: its top folder and the package in it.

Plain text: the idle tick of fullprocess.py must not pay for pathlib.
"""

from __future__ import annotations

import os

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROJECT = os.path.dirname(PACKAGE)
