"""Image files: decoding, geometry, batches. Knows Pillow, NumPy and torch only."""
