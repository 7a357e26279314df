"""Does the live model still hold? Drift, examination, decisions, alerts."""
