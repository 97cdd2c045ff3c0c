"""Checks of where each setting of a fine-tune shows; tests/training/test_settings.py runs them."""
