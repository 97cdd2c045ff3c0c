"""What is done by a job that belongs to no study: reading pictures, merging an adapter, and what data commands want."""
