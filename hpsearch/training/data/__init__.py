"""The rows: where they come from, which are left out, how they are dealt out, and what `prepare` keeps of them."""
