"""What a study needs no more: found, shown, and on request removed."""
