"""Whom to call: the list, its file, its look-up database, and what became of it."""
