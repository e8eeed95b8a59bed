"""The kinds of values in a city file, with their bounds."""

from typing import Annotated

import msgspec

Code = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_-]{1,12}\Z")]
LogName = Annotated[str, msgspec.Meta(pattern=r"\A[^\s+]{1,80}\Z")]  # as the format of signed heads wants it
Text = Annotated[str, msgspec.Meta(min_length=1)]
Positive = Annotated[int, msgspec.Meta(gt=0)]
NotNegative = Annotated[int, msgspec.Meta(ge=0)]
MostWrong = Annotated[int, msgspec.Meta(ge=1, le=100)]
Rate = Annotated[float, msgspec.Meta(gt=0, le=1_000_000)]  # the ceiling also keeps `inf` and `nan` out
