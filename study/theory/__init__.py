"""What mathematics says before training: preflight and the activation sheet."""
