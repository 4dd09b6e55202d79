"""Saved cells trained again, and compared with what they say."""
