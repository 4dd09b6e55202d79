"""Cells trained, here or on a cluster, and trained again."""
