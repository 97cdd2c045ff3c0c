"""Programs for who develops hpsearch; nothing that users run imports them."""
