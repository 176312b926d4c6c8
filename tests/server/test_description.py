"""The OpenAPI description, driven by schemathesis: what it promises is what is answered."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

pytest.importorskip("fastapi")
pytest.importorskip("schemathesis")

import schemathesis
from asking import make_app, png
from schemathesis.checks import ignored_auth

KEY = "0123456789abcdef-secret"
FEW = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))

# What the description calls a binary string is an image file here; test_fuzz.py sends others.
images = st.builds(png, seed=st.integers(0, 9), faces=st.integers(0, 3))
schemathesis.openapi.format("binary", images)
for kind in ("image/jpeg", "image/png", "application/octet-stream"):
    schemathesis.openapi.media_type(kind, images)


def description(**limits):
    app = make_app(hosts=("*",), **limits)  # its client calls itself testserver
    return schemathesis.openapi.from_asgi("/openapi.json", app)


open_to_all, locked = description(), description(api_key=KEY)


@open_to_all.parametrize()
@FEW
def test_answers_are_those_described(case):
    case.call_and_validate()


@locked.parametrize()
@FEW
def test_answers_to_those_without_a_key_are_those_described(case):
    case.call_and_validate()


@locked.parametrize()
@FEW
def test_answers_to_those_with_a_key_are_those_described(case):
    # ignored_auth tries wrong keys, beside which this right one would still be sent
    case.call_and_validate(headers={"X-API-Key": KEY}, excluded_checks=[ignored_auth])


def test_both_ways_to_send_a_key_are_described():
    read = locked.raw_schema["paths"]["/v1/read"]["post"]
    assert [list(way) for way in read["security"]] == [["HTTPBearer"], ["APIKeyHeader"]]
    assert "401" in read["responses"]
    assert "security" not in locked.raw_schema["paths"]["/healthz"]["get"]
    assert "security" not in open_to_all.raw_schema["paths"]["/v1/read"]["post"]
