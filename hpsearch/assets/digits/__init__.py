"""The demo's small files: two bases that read printed digits, and lines of handwritten ones to tune them on."""
