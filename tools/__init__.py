"""Programs for developers of hpsearch; nothing that users run imports them."""
