"""Small Things for documentation and tests."""

from .broken_things import ThingThatCantInstantiate, ThingThatCantStart, ThingWithBrokenAffordances
from .my_thing import MyThing

__all__ = [
    "MyThing",
    "ThingThatCantInstantiate",
    "ThingThatCantStart",
    "ThingWithBrokenAffordances",
]
