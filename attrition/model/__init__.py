"""The scorecard: basis, fit, export, metrics, explanations."""
