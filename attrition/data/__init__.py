"""Client rows: found, read, checked, de-duplicated, committed, read back."""
