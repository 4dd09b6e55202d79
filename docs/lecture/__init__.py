"""The lecture's claims: each with the verdicts of the published studies that decide it.

docs/claims/lecture.yaml lists the claims; their pages, an index and the README's list of verdicts
are made from it. PyTorch is not imported.
"""
