"""Jobs that start from a dropped file: events, CSV and templates, results written beside it."""
