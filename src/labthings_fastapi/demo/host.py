"""The computer that the server runs on: real readings on any machine."""

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
"""The time over which one reading averages (s)."""


class Usage(BaseModel, use_attribute_docstrings=True):
    """The usage of a memory or a disk."""

    used: int
    """Bytes in use."""

    total: int
    """Bytes in total."""

    percent: float
    """Percentage in use."""


class Host(lt.Thing):
    """Computer that the server runs on."""

    @lt.property(unit="%", observable=2.0)
    def cpu_load(self) -> float:
        """Load of the processor, all cores together."""
        return fmean(self.cpu_load_per_core)

    @lt.property(unit="%")
    def cpu_load_per_core(self) -> list[float]:
        """Load of each core of the processor."""
        # Without an interval, psutil compares with the last call in the same thread. A server uses
        # many threads, and the first reading in each of them would be 0.
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
        """Usage of the memory."""
        memory = psutil.virtual_memory()
        used = memory.total - memory.available
        return Usage(used=used, total=memory.total, percent=memory.percent)

    @lt.property
    def disk(self) -> Usage:
        """Usage of the disk."""
        disk = psutil.disk_usage(".")
        return Usage(used=disk.used, total=disk.total, percent=disk.percent)

    @lt.property(unit="s")
    def uptime(self) -> float:
        """Time since the computer started."""
        return time.time() - psutil.boot_time()

    @lt.property
    def clock(self) -> datetime:
        """Date and time in UTC."""
        return datetime.now(UTC)
