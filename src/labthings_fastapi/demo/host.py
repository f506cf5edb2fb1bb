"""The computer that the server runs on: real readings on any machine."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from statistics import fmean
from typing import Annotated

from pydantic import BaseModel, Field

import labthings_fastapi as lt

from .extra import demo_extra

with demo_extra():
    import psutil

CPU_WINDOW = 0.2
"""The time over which one reading averages (s)."""


Bytes = Annotated[int, Field(json_schema_extra={"unit": "om:byte"})]
Percentage = Annotated[float, Field(allow_inf_nan=False, json_schema_extra={"unit": "om:percent"})]


class Usage(BaseModel, use_attribute_docstrings=True):
    """The usage of a memory or a disk."""

    used: Bytes
    """Bytes in use."""

    total: Bytes
    """Bytes in total."""

    percent: Percentage
    """Percentage in use."""


class Host(lt.Thing):
    """Computer that the server runs on."""

    @lt.property(observable=2.0)
    def cpu_load(self) -> Percentage:
        """Load of the processor, all cores together."""
        return fmean(self.cpu_load_per_core)

    @lt.property
    def cpu_load_per_core(self) -> list[Percentage]:
        """Load of each core of the processor."""
        # Without an interval, psutil compares with the last call in the same thread. A server uses
        # many threads, and the first reading in each of them would be 0.
        return psutil.cpu_percent(interval=CPU_WINDOW, percpu=True)

    @lt.property(unit="om:degreeCelsius")
    def temperatures(self) -> dict[str, Annotated[float, Field(allow_inf_nan=False)]]:
        """Temperatures by sensor; empty where there are none."""
        read = getattr(psutil, "sensors_temperatures", dict)  # psutil lacks it on some systems
        return {
            f"{chip} {sensor.label or number}": sensor.current
            for chip, sensors in read().items()
            for number, sensor in enumerate(sensors)
        }

    @lt.property(observable=2.0)
    def memory(self) -> Usage:
        """Usage of the memory."""
        memory = psutil.virtual_memory()
        used = memory.total - memory.available
        return Usage(used=used, total=memory.total, percent=memory.percent)

    @lt.property
    def disk(self) -> Usage:
        """Usage of the disk."""
        disk = psutil.disk_usage(".")
        return Usage(used=disk.used, total=disk.total, percent=disk.percent)

    @lt.property(unit="om:second-Time", allow_inf_nan=False)
    def uptime(self) -> float:
        """Time since the computer started."""
        return time.time() - psutil.boot_time()

    @lt.property
    def clock(self) -> datetime:
        """Date and time in UTC."""
        return datetime.now(UTC)
