"""Claims: what an experiment's file states before it runs, and what the saved outputs say of it.

Imports nothing heavy.
"""

from study.claims.checks import check_claims
from study.claims.decision import decide
from study.claims.history import remarks
from study.claims.schema import Claim, parse_claims

__all__ = ["Claim", "check_claims", "decide", "parse_claims", "remarks"]
