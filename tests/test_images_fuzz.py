"""Whatever a file holds, it is read or refused; `benchmarks/fuzz.py` tries the same for longer."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facetell.errors import ImageError
from facetell.images import read_image
from hostile_images import HOSTILE, WHOLE, read_or_refuse


@pytest.mark.parametrize("form", sorted(WHOLE))
def test_the_files_that_are_damaged_are_whole_before(form):
    assert read_or_refuse(WHOLE[form]) == "read"


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_read_or_refused(kind):
    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(data=HOSTILE[kind])
    def every(data):
        read_or_refuse(data)

    every()


@settings(max_examples=40, deadline=None)
@given(form=st.sampled_from(sorted(WHOLE)), cut=st.floats(0, 0.999))
def test_a_file_cut_at_any_byte_is_read_or_refused(form, cut):
    read_or_refuse(WHOLE[form][: int(cut * len(WHOLE[form]))])


@settings(max_examples=30, deadline=None)
@given(data=st.binary(min_size=2, max_size=60), limit=st.integers(0, 59))
def test_files_over_the_limit_of_bytes_are_refused_whatever_they_hold(data, limit):
    limit = min(limit, len(data) - 1)
    with pytest.raises(ImageError, match=f"at most {limit} bytes, got {len(data)}"):
        read_image(data, max_bytes=limit)
