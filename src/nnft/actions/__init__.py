"""From cumulants to Edgeworth densities, actions and couplings; symmetry and axiom checks."""
