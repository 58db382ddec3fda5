"""The settings of a faster-whisper provider, which its door and its engine both read."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

INSTALL = "faster-whisper is not installed: pip install faster-whisper"


class Config(BaseModel):
    """How the model is run."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    kind: str = "faster_whisper"
    name: str = "faster_whisper"
    needs: tuple[str, ...] = ()
    model: str = ""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    compute_type: str = ""
    cpu_threads: int = Field(0, ge=0)
    batch_size: int = Field(0, ge=0, le=64)
    beam_size: int = Field(5, ge=1)
    download_root: str = ""
    local_files_only: bool = False
    remote: bool | None = None
    processes: int = Field(1, ge=1)
    load_s: float = Field(1800.0, gt=0)
    pace: float = Field(30.0, gt=0)

    @property
    def together(self) -> int:
        """Windows that are decoded together."""
        return self.batch_size or (8 if self.device == "cuda" else 1)
