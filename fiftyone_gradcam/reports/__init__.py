"""Render a report about a dataset and its classifier as an HTML page."""
