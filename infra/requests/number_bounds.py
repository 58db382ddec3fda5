"""The bounds of numbers that mean the same thing in several places: none is so large that nothing behind the door can hold it.

A number whose meaning has bounds of its own has them in its field. Every one in the OpenAPI document must have a least and a
greatest value, and a test reads the document for it.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

LATEST = 253_402_300_799  # epoch seconds: the end of the year 9999
LONGEST = 366 * 86_400  # seconds: above every limit that a server could set
GREATEST = 2**63 - 1  # what a column of the database holds
MOST_LIMIT = 10**13  # of bytes, or minutes that become milliseconds; null is without limit

EpochSeconds = Annotated[float, Field(ge=0, le=LATEST, allow_inf_nan=False, description="Epoch seconds.")]
RowId = Annotated[int, Field(ge=0, le=GREATEST)]
Seconds = Annotated[float, Field(ge=0, le=LONGEST, allow_inf_nan=False)]
WholeSeconds = Annotated[int, Field(ge=1, le=LONGEST)]
KeptSeconds = Annotated[int, Field(ge=0, le=LONGEST)]
EventId = Annotated[int, Field(ge=0, le=2**31 - 1)]  # its column is smaller
LimitNumber = Annotated[int, Field(ge=0, le=MOST_LIMIT)]
