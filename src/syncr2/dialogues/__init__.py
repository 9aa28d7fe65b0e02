"""Dialogues: prompts, turns, and how two agents are played."""
