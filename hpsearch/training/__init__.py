"""The training program and its jobs: data and model made ready, fine-tunes, export. The only room that imports
torch."""
