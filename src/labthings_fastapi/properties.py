"""Properties and settings: documented names, defined in `descriptors` and `decorators`."""

from labthings_fastapi.decorators import property, setting
from labthings_fastapi.descriptors.data_property import DataProperty
from labthings_fastapi.descriptors.functional_property import FunctionalProperty
from labthings_fastapi.descriptors.property import BaseProperty
from labthings_fastapi.descriptors.setting import DataSetting, FunctionalSetting

__all__ = [
    "BaseProperty",
    "DataProperty",
    "DataSetting",
    "FunctionalProperty",
    "FunctionalSetting",
    "property",
    "setting",
]
