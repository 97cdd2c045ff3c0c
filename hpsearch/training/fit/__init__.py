"""Training: retries where memory runs out, callbacks, checkpoints, best weights, tracking."""
