"""Image files: decoding, geometry and batches. Uses only Pillow, NumPy and torch."""
