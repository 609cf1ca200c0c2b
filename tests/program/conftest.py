"""What the tests of compiled programs share."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["eager", "graph"])
def mode(request):
    """Give a function that makes another one run eagerly or as a graph."""
    from tests.program.samples import FunctionGraph  # imports OneFlow, which must be started first

    return {"eager": lambda function: function, "graph": FunctionGraph}[request.param]
