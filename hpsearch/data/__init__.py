"""Pages, text and their errors: reading rows, splitting them, CER and WER. Knows neither torch nor optuna."""
