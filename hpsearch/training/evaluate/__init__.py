"""Reading with a model and scoring what it read."""
