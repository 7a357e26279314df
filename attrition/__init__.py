"""The nouns that two or more stages share: settings, files, clients, the model and its scorecard.

Levels (a module imports only from lower ones; tests/test_levels.py keeps it true):
    0  errors
    1  config, files, scorecard, synthetic
    2  clients, model, history
    3  cli
"""
