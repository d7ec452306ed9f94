"""Classifiers: backbones, recipes, training, checkpoints. Knows torch and torchvision only."""
