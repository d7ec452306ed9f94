"""Run verbs in separate processes, as delegated operations of FiftyOne."""
