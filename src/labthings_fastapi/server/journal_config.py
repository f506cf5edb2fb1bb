"""What a server is told of its journal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from labthings_fastapi.journal.sqlite import KEEP_BYTES, KEEP_DAYS


class JournalConfig(BaseModel):
    """Where runs are recorded, and for how long."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["sqlite", "memory"] = Field(
        default="sqlite", description="`memory` forgets everything when the server ends."
    )
    path: Path | None = Field(
        default=None, description="The file; `journal.sqlite` in the settings folder if not given."
    )
    keep_days: float = Field(default=KEEP_DAYS, gt=0, description="Days after the end of a run.")
    keep_bytes: int = Field(default=KEEP_BYTES, ge=1, description="The oldest runs go first.")
    synchronous: Literal["NORMAL", "FULL"] = Field(
        default="NORMAL", description="FULL: not even a power cut loses what a client was told."
    )


def _as_journal(value: Any) -> Any:
    """Take the kind alone for a journal with the defaults."""
    if isinstance(value, (Mapping, JournalConfig)):
        return value
    if value not in ("sqlite", "memory"):
        raise ValueError(
            "it must be 'sqlite', 'memory', or an object with path, keep_days, keep_bytes and "
            "synchronous"
        )
    return {"kind": value}


JournalChoice = Annotated[JournalConfig, BeforeValidator(_as_journal)]
