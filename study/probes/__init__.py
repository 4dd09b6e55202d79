"""Measurements inside a network. Nothing here is imported with the package: names.py is light."""
