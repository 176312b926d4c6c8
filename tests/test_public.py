import subprocess
import sys

import pytest

import facetell

PUBLIC = [
    "Analyzer",
    "Contract",
    "Detection",
    "Face",
    "FacetellError",
    "Follower",
    "Prediction",
    "Reading",
    "__version__",
    "load",
    "read",
    "read_clip",
    "read_image",
]


def test_public_names_are_these_sorted_and_all_there():
    assert facetell.__all__ == PUBLIC == sorted(PUBLIC)
    assert set(PUBLIC) <= set(dir(facetell))
    for name in PUBLIC:
        assert getattr(facetell, name) is not None


def test_other_names_are_refused():
    with pytest.raises(AttributeError, match="module 'facetell' has no attribute 'nope'"):
        _ = facetell.nope


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import facetell", ["torch", "numpy", "PIL", "onnxruntime", "click"]),
        ("import facetell; facetell.read", ["torch", "sklearn", "pyarrow", "onnx"]),
        ("import facetell; facetell.Analyzer, facetell.load", ["torch", "onnx", "pandas"]),
        ("import facetell.cli", ["torch", "numpy", "PIL", "onnxruntime"]),
    ],
)
def test_a_fresh_process_imports_only_what_it_needs(code, absent):
    check = f"{code}\nimport sys\nprint([n for n in {absent!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
