"""Keras definitions of the models, and their export to TFLite files."""
