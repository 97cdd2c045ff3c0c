"""Evaluating a served model: `hpsearch evaluate`, and what its answers are worth."""
