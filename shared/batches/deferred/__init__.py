"""Calls that are answered later: kept in groups, run as batches, fetched by id."""
