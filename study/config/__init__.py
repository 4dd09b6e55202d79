"""What a run may be told, and what it is called."""
