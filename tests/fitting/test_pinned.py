"""Fits take the course that is written down (`pinned`)."""

import json

import numpy as np
import pytest
from pinned import CASES, DATA, course

KNOWN = json.loads(DATA.read_text())


@pytest.mark.parametrize("name", CASES)
def test_a_fit_takes_the_course_that_is_written_down(name):
    found, known = course(CASES[name]()), KNOWN[name]
    assert len(found["cost_history"]) == len(known["cost_history"])
    for key, values in known.items():
        np.testing.assert_allclose(found[key], values, rtol=1e-6, atol=1e-9, err_msg=key)
