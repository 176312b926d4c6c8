import pytest

from facetell.report.markup import Markup, join, tag


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", '"><img src=x>', "a & b", "'"])
def test_text_and_attributes_are_escaped(hostile):
    element = tag("p", hostile, title=hostile)

    assert element.count("<") == 2
    assert element.count('"') == 2


def test_markup_is_not_escaped_twice():
    assert tag("p", tag("b", "a < b")) == "<p><b>a &lt; b</b></p>"


def test_none_leaves_nothing_behind():
    assert tag("p", None, title=None) == "<p></p>"
    assert join() == ""


def test_attribute_names_follow_html():
    assert tag("td", class_="x", aria_label="y") == '<td class="x" aria-label="y"></td>'


def test_void_elements_are_not_closed_and_shapes_close_themselves():
    assert tag("img", src="a") == '<img src="a">'
    assert tag("circle", r=2.50001) == '<circle r="2.5"/>'


def test_an_attribute_may_be_called_name():
    assert tag("meta", name="robots") == '<meta name="robots">'


def test_what_tag_returns_is_markup():
    assert isinstance(tag("p"), Markup)
    assert isinstance(join("a"), Markup)
