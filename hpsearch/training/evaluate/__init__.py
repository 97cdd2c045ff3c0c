"""Evaluating a model: rows in batches, generated texts, losses, scores, and the time that takes."""
