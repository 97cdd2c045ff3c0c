"""The machine: device, number formats, versions, and what its faults look like."""
