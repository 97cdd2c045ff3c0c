"""Where studies are stored: opening, changing and copying what a storage holds."""
