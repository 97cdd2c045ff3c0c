"""A fine-tune as arithmetic: batches, steps, evaluations, rows judged, and the libraries' arguments."""
