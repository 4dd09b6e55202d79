"""Proof that saved outputs are whole (`study verify`) and come out again (`study reproduce`)."""
