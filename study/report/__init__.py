"""How saved outputs are shown: the figures and the page of a report."""
