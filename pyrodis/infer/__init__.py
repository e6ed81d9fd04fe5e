"""Training, objectives, handlers and queries."""
