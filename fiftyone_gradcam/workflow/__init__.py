"""The public functions, from importing folders to finding wrong labels."""
