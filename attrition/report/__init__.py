"""The report: a document, then HTML, PDF and terminal text."""
