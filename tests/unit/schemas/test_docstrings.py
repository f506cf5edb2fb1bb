from __future__ import annotations

import pytest

from labthings_fastapi.schemas.docstrings import (
    body,
    description,
    parameter_descriptions,
    result_description,
    summary,
)

GOOGLE = """Move the stage.

    It waits for the end.

    Args:
        x (float): where to go,
            in millimetres.
        y: how high: very.
        **rest (dict[str, int]): others.

            A second paragraph.
        nothing:

    Returns:
        x: not a parameter.
    """

NUMPY = """Move the stage.

    Parameters
    ----------
    x : float
        Where to go,
        in millimetres.

        A second paragraph.
    y, z : float, optional
        How high.
    bare
        Without a type.

    Other Parameters
    ----------------
    fast : bool
        Whether to hurry.

    Returns
    -------
    float
        Not a parameter.
    """

SPHINX = """Move the stage.

    :param x: where to go,
        in millimetres.
    :param float y: how high.
    :type y: float
    :keyword dict[str, int] z: others.
    :param nothing:
    :returns: not a parameter.
    """


def test_the_first_line_is_the_title():
    assert summary("Speed of all axes.\nIn mm/s.") == "Speed of all axes."
    assert summary("\n\n    Speed.  \n    More.") == "Speed."


def test_the_description_is_the_whole_text_without_its_indentation():
    assert description("Speed.\n\n        In mm/s.\n          * deeper\n    ") == (
        "Speed.\n\nIn mm/s.\n  * deeper"
    )


@pytest.mark.parametrize("doc", [None, "", "  \n \t "])
def test_an_empty_docstring_has_no_title_and_no_description(doc):
    assert (summary(doc), description(doc), parameter_descriptions(doc)) == (None, None, {})


def test_google_style():
    assert parameter_descriptions(GOOGLE) == {
        "x": "where to go, in millimetres.",
        "y": "how high: very.",
        "rest": "others.",
    }


def test_numpy_style():
    assert parameter_descriptions(NUMPY) == {
        "x": "Where to go, in millimetres.",
        "y": "How high.",
        "z": "How high.",
        "bare": "Without a type.",
        "fast": "Whether to hurry.",
    }


def test_sphinx_style():
    assert parameter_descriptions(SPHINX) == {
        "x": "where to go, in millimetres.",
        "y": "how high.",
        "z": "others.",
    }


def test_text_on_the_lines_below_the_name_is_found_in_every_style():
    assert parameter_descriptions("Go.\n\nArgs:\n    x:\n        Where.") == {"x": "Where."}
    assert parameter_descriptions("Go.\n\n:param x:\n    Where.") == {"x": "Where."}


def test_prose_is_not_taken_for_parameters():
    assert parameter_descriptions("Note: this moves.\n\nWarning: it is fast.") == {}


@pytest.mark.parametrize(
    ("doc", "expected"),
    [
        ("Title.\n\nMore.\n\nStill more.", "More.\n\nStill more."),
        ("Title only.", "Title only."),
        ("A title of\ntwo lines.\n\nMore.", "A title of\ntwo lines.\n\nMore."),
        ("Title.\n\nMore.\n\nArgs:\n    x: it\n\nReturns:\n    That.\n\nEnd.", "More.\n\nEnd."),
        ("Title.\n\nArgs:\n    x: it\n", "Title."),
        (
            "Title.\n\nParameters\n----------\nx : int\n    It.\n\nNotes\n-----\nEnd.",
            "Notes\n-----\nEnd.",
        ),
        ("Title.\n\nMore.\n\n:param x: it\n    goes on\n:returns: that", "More."),
        (
            "Title.\n\nReturns at once, and waits for nothing.",
            "Returns at once, and waits for nothing.",
        ),
        ("Title.\n\nParameters: see the manual.", "Parameters: see the manual."),
        ("", None),
        (None, None),
    ],
)
def test_the_body_follows_the_first_line_and_leaves_parameters_and_results_out(doc, expected):
    assert body(doc) == expected


@pytest.mark.parametrize(
    ("doc", "expected"),
    [
        (
            "T.\n\nReturns:\n    The place where\n    it is.\n\n    Second.",
            "The place where it is.",
        ),
        ("T.\n\nYields:\n    Each tile.", "Each tile."),
        ("T.\n\nReturns\n-------\nfloat\n    The place.", "The place."),
        ("T.\n\n:returns: the place", "the place"),
        ("T.\n\nReturns at once.", None),
        (None, None),
    ],
)
def test_the_result_is_described_in_any_style(doc, expected):
    assert result_description(doc) == expected
