"""What hpsearch promises of a run, tried with faults: ``make faults`` prints docs/reliability.md's table."""
