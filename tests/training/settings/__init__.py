"""For each setting of a fine-tune, a check of where it shows; tests/training/test_settings.py runs them."""
