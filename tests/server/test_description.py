"""The OpenAPI description, driven by schemathesis: what it promises is what is answered."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

pytest.importorskip("fastapi")
pytest.importorskip("schemathesis")

import schemathesis
from asking import make_app, png
from schemathesis.checks import ignored_auth
from schemathesis.config import SchemathesisConfig

KEY = "0123456789abcdef-secret"
FEW = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))

# What the description calls a binary string is an image file here; test_fuzz.py sends others.
images = st.builds(png, seed=st.integers(0, 9), faces=st.integers(0, 3))
schemathesis.openapi.format("binary", images)
for kind in ("image/jpeg", "image/png", "application/octet-stream"):
    schemathesis.openapi.media_type(kind, images)


def description(**limits):
    app = make_app(hosts=("*",), **limits)  # its client calls itself testserver
    # 413, for more images than a request may hold, is not among its own ways to refuse.
    refusing = {"expected-statuses": [400, 401, 403, 404, 406, 413, 415, 422, "5xx"]}
    config = SchemathesisConfig.from_dict({"checks": {"negative_data_rejection": refusing}})
    return schemathesis.openapi.from_asgi("/openapi.json", app, config=config)


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


def test_the_most_images_of_a_request_are_described():
    body = description(max_images=3).raw_schema["paths"]["/v1/read"]["post"]["requestBody"]
    images = body["content"]["multipart/form-data"]["schema"]["properties"]["image"]
    assert images["maxItems"] == 3
