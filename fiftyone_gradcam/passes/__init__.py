"""Passes over images: decode, run the network, and keep results of each batch."""
