from __future__ import annotations

import pytest

from labthings_fastapi.schemas.docstrings import description, parameter_descriptions, summary

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
