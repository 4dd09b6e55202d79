"""Greedy layerwise pretraining: autoencoders, RBMs, supervised layers."""
