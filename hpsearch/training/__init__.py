"""What runs behind the door: making data and model ready, and one fine-tune. The only room that imports torch."""
