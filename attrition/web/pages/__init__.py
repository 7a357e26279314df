"""The pages that the server shows."""
