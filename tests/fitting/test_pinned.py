"""Fits take the course that is written down (`pinned`), whatever the engine."""

import json

import numpy as np
import pytest
from pinned import CASES, DATA, course, fit

KNOWN = json.loads(DATA.read_text())


@pytest.mark.parametrize("engine", ["torch", "fused"])
@pytest.mark.parametrize("name", CASES)
def test_a_fit_takes_the_course_that_is_written_down(name, engine):
    found, known = course(fit(name, engine)), KNOWN[name]
    assert len(found["cost_history"]) == len(known["cost_history"])
    for key, values in known.items():
        np.testing.assert_allclose(found[key], values, rtol=1e-6, atol=1e-7, err_msg=key)
