"""What is looked at before any weight is loaded."""
