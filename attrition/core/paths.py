"""Where the project is: its top folder and the package in it.

Plain strings: the idle check of fullprocess.py must not import pathlib, which is slow.
"""

from __future__ import annotations

import os

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROJECT = os.path.dirname(PACKAGE)
