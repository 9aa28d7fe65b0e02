"""Servers of models: those that a job starts and ends, and how any server is asked."""
