"""What Triton's kernels draw: a hash of a seed and a place, the same forward and backward, so that none is stored."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def drawn(seed, places):  # type: ignore[no-untyped-def]
    """A number from 0 to 2^24 - 1 for each place: a 32-bit hash (Wellons' lowbias32) of seed and place."""
    x = places.to(tl.uint32) * 0x9E3779B1 + seed.to(tl.uint32)
    x ^= x >> 16
    x *= 0x7FEB352D
    x ^= x >> 15
    x *= 0x846CA68B
    x ^= x >> 16
    return (x >> 8).to(tl.int32)
