"""What the tests over HTTP share: how to judge an error, and how to wait for a run."""

from __future__ import annotations

import pytest

FINISHED = {"completed", "failed", "cancelled", "error"}


@pytest.fixture
def assert_problem():
    """Check that an answer is a problem in the words of RFC 9457, and return its members."""

    def check(answer, status):
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert {"type", "title", "status", "detail"} <= set(problem)
        assert problem["status"] == status
        assert problem["detail"]
        return problem

    return check


@pytest.fixture
def ended():
    """Wait for the end of a run, by its URL, and return its last state."""

    def wait(client, href):
        for _ in range(20):
            answer = client.get(href, headers={"Prefer": "wait=5"})
            assert answer.status_code == 200, answer.text
            if answer.json()["status"] in FINISHED:
                return answer.json()
        raise AssertionError(f"{href} did not end: {answer.text}")

    return wait
