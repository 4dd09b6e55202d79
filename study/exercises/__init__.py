"""Pages whose code is run: what it prints is what they quote."""
