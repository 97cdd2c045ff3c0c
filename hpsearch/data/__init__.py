"""What is done with data before a search: `hpsearch data`."""
