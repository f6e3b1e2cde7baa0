"""nnft: neural-network field theory by Monte Carlo."""
