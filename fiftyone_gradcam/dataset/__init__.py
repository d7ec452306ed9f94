"""Everything that reads or changes a FiftyOne dataset: imports, splits, fields, runs and views."""
