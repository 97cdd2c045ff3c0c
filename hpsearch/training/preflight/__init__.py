"""Checks before any weight is loaded: settings, lengths of rows, memory."""
