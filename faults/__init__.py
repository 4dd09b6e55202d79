"""Breaks a small study in every way that a disk, a machine or a person can, and mends it again."""
