"""Work in a process of its own: FiftyOne's delegated operations, with a worker for them."""
