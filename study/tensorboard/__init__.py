"""TensorBoard: what a cell writes for it, one run per cell, made to be read with a hundred."""
