"""What can go wrong when weights are installed; none of it leaves half a model behind."""

from __future__ import annotations

from pipeline.errors import StenopoolError


class WeightsUnavailable(StenopoolError):
    """No source has these weights just now. Details: name."""

    code = "weights_unavailable"
    retryable = True


class WeightsDamaged(StenopoolError):
    """What a source gave is not what was promised. Details: name."""

    code = "weights_damaged"


class ModelStoreUnwritable(StenopoolError):
    """The folder of models cannot be written: it is read-only, somebody else's, or full."""

    code = "model_store_unwritable"


class SourceFailed(Exception):
    """One source has not given what was asked of it; the message says why. The next one is tried."""


class ContentDiffers(SourceFailed):
    """It gave something else than was published."""
