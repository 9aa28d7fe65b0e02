"""SyncR² of pairs of agents, as published and corrected; controls; and all of it as tables."""
