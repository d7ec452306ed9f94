"""Training: recipes, the loop, augmentation, diagnosis. Works on files, arrays and torch only."""
