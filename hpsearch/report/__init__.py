"""From a study to what a person reads: rows, figures, one report in a file, a comparison of studies."""
