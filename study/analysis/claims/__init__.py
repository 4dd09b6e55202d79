"""Claims: what an experiment's file states before it runs, and what the saved outputs say of it.

Imports nothing heavy.
"""

from study.analysis.claims.checks import check_claims
from study.analysis.claims.decision import decide, remarks
from study.analysis.claims.schema import Claim, parse_claims

__all__ = ["Claim", "check_claims", "decide", "parse_claims", "remarks"]
