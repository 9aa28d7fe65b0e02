"""Neural synchrony between interacting language models."""
