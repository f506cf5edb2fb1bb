"""Descriptors: what `lt.property`, `lt.action` and others put in a class of Thing."""

from .action import ActionDescriptor
from .base import BaseDescriptor
from .data_property import DataProperty
from .endpoint import EndpointDescriptor
from .functional_property import FunctionalProperty
from .property import BaseProperty
from .property_descriptor import PropertyDescriptor
from .slot import ThingSlot

__all__ = [
    "ActionDescriptor",
    "BaseDescriptor",
    "BaseProperty",
    "DataProperty",
    "EndpointDescriptor",
    "FunctionalProperty",
    "PropertyDescriptor",
    "ThingSlot",
]
