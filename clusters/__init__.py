"""One study by every launcher, on engines of this machine: joblib, Slurm and Ray."""
