"""Tables and states of a study, made from its saved outputs alone; imports nothing heavy."""
