"""Properties and settings: documented names, defined in `descriptors` and `decorators`."""

from labthings_fastapi.decorators import property, setting
from labthings_fastapi.descriptors.data_property import (
    DataProperty,
    default_factory_from_arguments,
)
from labthings_fastapi.descriptors.functional_property import FunctionalProperty
from labthings_fastapi.descriptors.info import (
    PropertyCollection,
    PropertyInfo,
    SettingCollection,
    SettingInfo,
)
from labthings_fastapi.descriptors.property import BaseProperty
from labthings_fastapi.descriptors.setting import DataSetting, FunctionalSetting
from labthings_fastapi.exceptions import MissingDefaultError, OverspecifiedDefaultError
from labthings_fastapi.schemas.constraints import CONSTRAINTS as CONSTRAINT_ARGS

__all__ = [
    "CONSTRAINT_ARGS",
    "BaseProperty",
    "DataProperty",
    "DataSetting",
    "FunctionalProperty",
    "FunctionalSetting",
    "MissingDefaultError",
    "OverspecifiedDefaultError",
    "PropertyCollection",
    "PropertyInfo",
    "SettingCollection",
    "SettingInfo",
    "default_factory_from_arguments",
    "property",
    "setting",
]
