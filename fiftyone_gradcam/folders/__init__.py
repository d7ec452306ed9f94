"""Folders of images: find the class and split of each file. Works on files, without a database."""
