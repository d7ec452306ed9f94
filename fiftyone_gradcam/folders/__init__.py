"""Folders of images: which file is of which class and split. Knows files, and no database."""
