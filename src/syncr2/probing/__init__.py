"""Probes: what states tell about the partner's utterances."""
