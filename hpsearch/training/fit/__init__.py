"""One fine-tune: its attempts, checkpoints, callbacks and best weights."""
