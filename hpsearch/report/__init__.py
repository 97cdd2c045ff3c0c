"""Reports for people: rows of a study, figures, one report in a file, a comparison of studies."""
