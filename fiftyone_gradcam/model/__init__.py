"""What a network is: families, backbones, heads, weights, checkpoints."""
