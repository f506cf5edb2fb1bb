"""Hints that name numpy's class of arrays, alone and within other types."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NewType

import numpy as np
import numpy.typing as npt
import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from typing_extensions import TypedDict

from labthings_fastapi.exceptions import UnserialisableTypeError
from labthings_fastapi.schemas.signature import input_model
from labthings_fastapi.schemas.values import ValueSchema
from labthings_fastapi.types.numpy import NDArray

Image = NewType("Image", npt.NDArray[np.uint16])  # type: ignore[valid-newtype]


@dataclasses.dataclass
class Frame:
    pixels: npt.NDArray[np.uint16]
    dark: np.ndarray | None = None


@dataclasses.dataclass
class Stack:
    frames: list[Frame]
    weights: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Odd:
    pixels: np.ndarray
    other: subprocess.Popen[bytes]


class Spectrum(BaseModel):
    counts: NDArray[np.uint32]
    gain: float = Field(1.0, gt=0)


class OlderModel(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    counts: np.ndarray
    raw: bytes = b""
    gain: float = 1.0


class Members(TypedDict):
    counts: npt.NDArray[np.uint8]


def schema(hint: Any, mode: Any = "both") -> ValueSchema[Any]:
    return ValueSchema(hint, where="Camera.frame", mode=mode)


def as_lists(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, BaseModel):
        return as_lists(dict(value))
    if dataclasses.is_dataclass(value):
        return {
            each.name: as_lists(getattr(value, each.name)) for each in dataclasses.fields(value)
        }
    if isinstance(value, dict):
        return {name: as_lists(each) for name, each in value.items()}
    return [as_lists(each) for each in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize(
    ("hint", "text"),
    [
        (np.ndarray, b"[1,2]"),
        (np.ndarray | None, b"null"),
        (np.ndarray | None, b"[[1],[2]]"),
        (list[np.ndarray], b"[[1],[2,3]]"),
        (tuple[np.ndarray, int], b"[[1],3]"),
        (dict[str, npt.NDArray[np.uint8]], b'{"a":[1]}'),
        (Sequence[Annotated[np.ndarray, "raw"]], b"[[1]]"),
        (Image, b"[1]"),
        (np.ndarray | str, b'"none"'),
        (np.ndarray | list[str], b'["a"]'),
        (Frame, b'{"pixels":[[1,2]],"dark":[0.5]}'),
        (list[Frame], b'[{"pixels":[1],"dark":null}]'),
        (Frame | None, b'{"pixels":[1],"dark":null}'),
        (Stack, b'{"frames":[{"pixels":[1],"dark":null}],"weights":{"a":[0.5]}}'),
        (Spectrum, b'{"counts":[1],"gain":2.0}'),
        (OlderModel, b'{"counts":[1],"raw":"","gain":2.0}'),
        (list[OlderModel], b'[{"counts":[1],"raw":"","gain":2.0}]'),
        (Members, b'{"counts":[1]}'),
    ],
)
@pytest.mark.parametrize("mode", ["validation", "serialization", "both"])
def test_arrays_are_read_and_written_anywhere_in_a_type(hint: Any, text: bytes, mode: Any) -> None:
    value = schema(hint, mode).validate_wire(text)
    if isinstance(value, OlderModel):
        assert isinstance(value.counts, np.ndarray)
        return
    assert json.loads(schema(hint, mode).serve(value)) == json.loads(text)
    assert as_lists(value) == json.loads(text) or hint == list[OlderModel]


@pytest.mark.parametrize(
    ("hint", "text", "place"),
    [
        (Frame, b'{"pixels":[1.5]}', ("pixels",)),
        (Frame, b'{"pixels":[70000]}', ("pixels",)),
        (Stack, b'{"frames":[{"pixels":[[1],[2,3]]}]}', ("frames", 0, "pixels")),
        (Spectrum, b'{"counts":[-1]}', ("counts",)),
        (OlderModel, b'{"counts":["x"]}', ("counts",)),
        (Members, b'{"counts":[256]}', ("counts",)),
        (np.ndarray | None, b"[[1],2]", ()),
    ],
)
def test_an_array_that_does_not_fit_is_named(hint: Any, text: bytes, place: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        schema(hint).validate_wire(text)
    [error] = caught.value.errors(include_url=False)
    assert error["loc"] == place
    assert error["type"].startswith("array_")


def test_the_dtype_in_a_dataclass_holds_in_python_too() -> None:
    frame = schema(Frame).validate({"pixels": np.zeros(2, np.uint8)})
    assert frame.pixels.dtype == np.uint16
    with pytest.raises(ValidationError, match="dtype uint16"):
        schema(Frame).validate({"pixels": np.zeros(2)})


def test_an_array_in_a_member_of_a_model_keeps_what_the_others_are() -> None:
    value = OlderModel(counts=np.array([np.nan]), raw=b"\xff", gain=float("nan"))
    text = schema(OlderModel).serve(value)
    assert json.loads(text) == {"counts": ["NaN"], "raw": "_w==", "gain": "NaN"}


def test_parameters_of_an_action_are_arrays() -> None:
    def analyse(
        self: Any, image: npt.NDArray[np.uint16], frame: Frame, gain: float = 1
    ) -> None: ...

    model = input_model(analyse, name="analyse_input")
    read = ValueSchema(model, where="A.analyse", mode="validation").validate_wire(
        b'{"image":[[1,2]],"frame":{"pixels":[3]}}'
    )
    assert read.image.dtype == np.uint16  # type: ignore[attr-defined]
    assert read.frame.pixels.tolist() == [3]  # type: ignore[attr-defined]


def test_another_class_beside_an_array_is_still_refused() -> None:
    with pytest.raises(UnserialisableTypeError, match="no JSON form"):
        schema(Odd).compile()
    with pytest.raises(UnserialisableTypeError, match="no JSON form"):
        schema(tuple[np.ndarray, subprocess.Popen[bytes]]).compile()


def test_the_package_works_without_numpy() -> None:
    code = (
        "import sys; sys.modules['numpy'] = None\n"
        "import labthings_fastapi as lt\n"
        "class A(lt.Thing):\n"
        "    x: list[float] = lt.property(default_factory=list)\n"
        "    @lt.action\n"
        "    def f(self, y: dict[str, int]) -> list[int]: return [1]\n"
        "server = lt.ThingServer.from_things({'a': A}, journal='memory')\n"
        "with server.test_client() as client:\n"
        "    assert client.put('/a/x', json=[1, 2]).status_code == 204\n"
        "    assert client.get('/a/x').json() == [1, 2]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=50)


def test_importing_the_package_does_not_import_numpy() -> None:
    code = (
        "import sys, labthings_fastapi as lt\n"
        "lt.Thing, lt.ThingServer, lt.ThingClient\n"
        "assert 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=50)
