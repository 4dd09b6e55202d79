"""Statistics over seeds and cells: numbers in, frozen records out; no file, no study, no clock.

Imports nothing heavy: a module loads SciPy or statsmodels in the function that needs it.
"""
