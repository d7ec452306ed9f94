"""One pass over images: decode, network, and what is kept of each batch."""
