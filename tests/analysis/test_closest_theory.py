"""Which of several theories a picture shows."""

from __future__ import annotations

import numpy as np

from nnft.analysis.trained_law import Law, Prediction, closest

ONE = np.ones(3)


def theory(name: str, departure: float | None = None, exact: bool = False) -> Prediction:
    left = (None, None) if departure is None else (departure * ONE, departure * np.eye(3))
    law = Law(ONE, np.eye(3), mean_departure=left[0], covariance_departure=left[1])
    return Prediction(name, "", exact, law)


def name_of(*predictions: Prediction) -> str:
    found = closest(predictions)
    return "" if found is None else found.name


def test_the_smallest_departure_wins() -> None:
    assert name_of(theory("zeroth", 0.1), theory("first", 0.01)) == "first"
    assert name_of(theory("zeroth", 0.1), theory("first", 0.4)) == "zeroth"  # an expansion that diverges


def test_an_exact_theory_wins_wherever_it_stands() -> None:
    assert name_of(theory("zeroth", 1e-9), theory("exact", exact=True)) == "exact"


def test_unknown_departures_come_last_and_keep_their_order() -> None:
    assert name_of(theory("unknown"), theory("known", 3.0)) == "known"
    assert name_of(theory("one"), theory("two")) == "one"


def test_a_theory_of_the_way_alone_says_nothing_of_the_end() -> None:
    assert name_of(Prediction("way", "", True, None)) == ""
    assert name_of() == ""
