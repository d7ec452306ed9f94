"""A page about a dataset and its classifier, made of plain values."""
