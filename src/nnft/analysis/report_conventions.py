"""What the words of a report mean: fields, correlators, errors, pulls, and what belongs to a training."""

from __future__ import annotations

from nnft.analysis.report_record import ReportSection
from nnft.analysis.run import Run

NETWORK = (
    "Affine layers l = 1 .. L: z(l) = W(l) a(l-1) + b(l), a(l) = sigma(z(l)), output f = z(L). Weights "
    "have the variance C_W / fan-in, biases the variance C_b; a layer with C_b = 0 has no bias. Input "
    "points are numbered a = 0 .. P-1."
)
COSINES = (
    "f = F sum_i a_i cos(b_i.x + c_i) / (b_i^2 + m^2)^(1/2), i = 1 .. N, phases c uniform; momenta b uniform "
    "in the ball below the cutoff, or normal and without the denominator; amplitudes of variance "
    "sigma_a^2 / N. F = 1, or for a free scalar what makes the propagator 1 / (p^2 + m^2). Input points are "
    "numbered a = 0 .. P-1."
)
CONNECTED = (
    "Joint cumulants over networks of one output f at points a, b, ..: G2(ab) = <f_a f_b> - <f_a><f_b>, "
    "and so on (conn.). They vanish beyond order 2 for a Gaussian field, and are not normalised: G4 has "
    "the units of f to the fourth. Excess kurtosis: G4(aaaa) / G2(aa)^2."
)
ERRORS = (
    "1.234(56) is 1.234 with a standard error of 0.056: one standard deviation, from leaving out one bin "
    "of networks at a time (delete-one-bin jackknife). ! marks errors not to be trusted, where a few "
    "networks make most of the spread; (?) an unknown error; - no number."
)
PULL = (
    "(estimate - theory) / error. Of an exact theory pulls are spread like a standard normal number: "
    "beyond 3 once in 370, beyond 5 once in two million. Pulls of one table are correlated, since all "
    "components come from the same networks; chi-square and p take that into account through the "
    "covariance between bins. p is the probability of so large a chi-square if the theory is right; judged "
    "says how many components the bins allow to be told apart."
)
UNBIASED = "Estimates are unbiased at any number of networks (k-statistics)."
DEFORMED = (
    "Averages are those with the weight exp(-V) of each network, as ratios of weighted sums whose bias of "
    "order 1/networks is removed. The effective sample size is the number of networks of equal weight that "
    "would be worth as much. Columns named base belong to the ensemble without the insertion."
)
TRAINED = (
    "Trained networks have a mean, so that every order from 1 on is estimated; averages are over networks, "
    "and over the chains and draws of each. Train and test error: the mean of (f - y)^2 over points and "
    "outputs. Verdicts on theories rest on mean, two-point function and these numbers, not on higher "
    "orders. Diverged networks are in no average and are counted."
)
CHAINS = (
    "Equilibrated: R-hat below 1.01, bulk and tail effective sizes of 400 or more for every observable, an "
    "autocorrelation time that is measured, no drift. R-hat and effective sizes: Vehtari, Gelman, Simpson, "
    "Carpenter, Bürkner, Bayesian Analysis 16 (2021) 667. Autocorrelation time tau = 1/2 + sum of rho(t): "
    "Wolff, Comput. Phys. Commun. 156 (2004) 143."
)


def conventions(run: Run) -> ReportSection:
    """Return the conventions that a run of this kind needs."""
    networks = NETWORK if run.cosines is None else COSINES
    facts = [("networks", networks), ("connected correlators", CONNECTED), ("errors", ERRORS)]
    facts.append(("estimates", DEFORMED if run.deformation is not None else UNBIASED))
    if run.deformation is None:
        facts.append(("pull", PULL))
    if run.training is not None:
        facts += [("training", TRAINED), ("chains", CHAINS)]
    return ReportSection("conventions", "Conventions", facts=tuple(facts))
