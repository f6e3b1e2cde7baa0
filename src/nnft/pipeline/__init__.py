"""Where the layers meet: sample, resume, verify."""
