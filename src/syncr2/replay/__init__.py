"""Prompts that grow are read, each token once, and states are kept and checked."""
