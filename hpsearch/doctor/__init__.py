"""Whether this machine is ready for a search: what is looked at, by whom, and how the answer is shown."""
