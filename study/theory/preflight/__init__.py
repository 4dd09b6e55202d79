"""What signals will do in a network before it is trained: predicted, measured, judged."""
