"""Networks: families, backbones, heads, weights and checkpoints."""
