"""What is known of base models, as data, and how one is found and spoken to."""
