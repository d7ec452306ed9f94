"""FiftyOne data: folders, splits, fields, runs and views. Everything that touches a dataset."""
