"""What no bucket can be called, wherever it is: what else is refused, only its server knows.

Amazon's rules (docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html) are for new buckets. Names of old ones there
have upper case, underscores and up to 255 characters; Ceph takes such where it is told to (rgw_relaxed_s3_bucket_names).
"""

from __future__ import annotations

import ipaddress
import re

_POSSIBLE = re.compile(r"[A-Za-z0-9._-]{3,255}")
WANTED = "a bucket's name has 3 to 255 letters, digits, dots, hyphens and underscores, and is no IP address"


def is_bucket_name(name: str) -> bool:
    """Whether there could be such a bucket somewhere."""
    return _POSSIBLE.fullmatch(name) is not None and not _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return True
