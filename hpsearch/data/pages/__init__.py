"""Scanned pages with their transcription: PAGE-XML and ALTO-XML, and the pieces that models are trained on."""
