"""What everything stands on: settings, errors, atomic files, releases."""
