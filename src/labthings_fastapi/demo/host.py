"""The computer that the bench runs on: real readings, there on any machine."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from statistics import fmean

from pydantic import BaseModel

import labthings_fastapi as lt

from .extra import demo_extra

with demo_extra():
    import psutil

CPU_WINDOW = 0.2
"""How long the processor is watched for one reading (s)."""


class Usage(BaseModel, use_attribute_docstrings=True):
    """How full a memory or a disk is."""

    used: int
    """Bytes in use."""

    total: int
    """Bytes there are."""

    percent: float
    """Share that is in use."""


class Host(lt.Thing):
    """Computer that the server runs on."""

    @lt.property(unit="%", observable=2.0)
    def cpu_load(self) -> float:
        """Load of the processor, all cores together."""
        return fmean(self.cpu_load_per_core)

    @lt.property(unit="%")
    def cpu_load_per_core(self) -> list[float]:
        """Load of each core of the processor."""
        # Without an interval, psutil compares with the last call *of the same thread*: a server
        # calls from many threads, and the first answer in each of them would be 0.
        return psutil.cpu_percent(interval=CPU_WINDOW, percpu=True)

    @lt.property(unit="°C")
    def temperatures(self) -> dict[str, float]:
        """Temperatures by sensor; empty where there are none."""
        read = getattr(psutil, "sensors_temperatures", dict)  # psutil lacks it on some systems
        return {
            f"{chip} {sensor.label or number}": sensor.current
            for chip, sensors in read().items()
            for number, sensor in enumerate(sensors)
        }

    @lt.property(observable=2.0)
    def memory(self) -> Usage:
        """How full the memory is."""
        memory = psutil.virtual_memory()
        used = memory.total - memory.available
        return Usage(used=used, total=memory.total, percent=memory.percent)

    @lt.property
    def disk(self) -> Usage:
        """How full the disk is."""
        disk = psutil.disk_usage(".")
        return Usage(used=disk.used, total=disk.total, percent=disk.percent)

    @lt.property(unit="s")
    def uptime(self) -> float:
        """Time since the computer was started."""
        return time.time() - psutil.boot_time()

    @lt.property
    def clock(self) -> datetime:
        """Date and time in UTC."""
        return datetime.now(UTC)
