"""How networks learn: recipes, the loop, augmentation, diagnosis. Files, arrays and torch only."""
