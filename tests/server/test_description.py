"""The OpenAPI description, driven by schemathesis: what it promises is what is answered."""

import pytest

pytest.importorskip("fastapi")
schemathesis = pytest.importorskip("schemathesis")
