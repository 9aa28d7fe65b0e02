"""Sotopia's episodes: read, checked, cleaned, and what each reader may know of them."""
