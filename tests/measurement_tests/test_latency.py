"""In which order models are timed, and what is kept of it."""

from __future__ import annotations

import time

from avatar_optuna.measurement._latency import Run, computing_threads, interleaved_latencies, timed_blocks, timed_turns
from avatar_optuna.schema import ComparedModel, Latency
from avatar_optuna.settings import MeasurementSettings

_WARM_UPS = 3


def _recorded(names: str, slept_s: float = 0.0) -> tuple[list[str], list[Run]]:
    """Passes that write down whose they are."""
    seen: list[str] = []

    def make(name: str) -> Run:
        def run() -> None:
            seen.append(name)
            time.sleep(slept_s)

        return run

    return seen, [make(name) for name in names]


def test_each_turn_has_every_model_once_in_an_order_of_its_own() -> None:
    orders = []
    for seed in (0, 0, 1):
        seen, runs = _recorded("abcd")
        timed_turns(runs, repeats=20, device="cpu", seed=seed)
        assert seen[: 4 * _WARM_UPS] == [name for name in "abcd" for _ in range(_WARM_UPS)]
        orders.append(["".join(seen[begin : begin + 4]) for begin in range(4 * _WARM_UPS, len(seen), 4)])
    assert all(sorted(turn) == list("abcd") for turn in orders[0])
    assert len(orders[0]) == 20
    assert len(set(orders[0])) > 5
    assert orders[0] == orders[1] != orders[2]


def test_the_order_can_be_kept() -> None:
    seen, runs = _recorded("abc")
    timed_turns(runs, repeats=4, device="cpu", seed=None)
    assert "".join(seen[3 * _WARM_UPS :]) == "abc" * 4


def test_a_block_holds_passes_of_one_model() -> None:
    seen, runs = _recorded("ab")
    blocks = timed_blocks(runs, repeats=12, device="cpu")
    own = {name: name * (_WARM_UPS + 12) for name in "ab"}
    assert "".join(seen) in (own["a"] + own["b"], own["b"] + own["a"])
    assert [block.times_ms.shape for block in blocks] == [(1, 12)] * 2


def test_a_block_of_a_slow_model_is_short() -> None:
    seen, runs = _recorded("a", slept_s=0.31)
    (block,) = timed_blocks(runs, repeats=12, device="cpu")
    assert len(seen) == 1 + 5  # the first pass is all its warming up
    assert block.times_ms.shape == (1, 5)
    assert (block.times_ms >= 310).all()


def test_thread_time_leaves_out_what_a_pass_waits() -> None:
    def wait() -> None:
        time.sleep(0.02)

    settings = MeasurementSettings(repeats=5)
    with computing_threads("cpu", 1):
        found = interleaved_latencies({"one": lambda _: wait, "other": lambda _: wait}, settings, device="cpu")
        (alone,) = interleaved_latencies({"one": lambda _: wait}, settings, device="cpu")["one"]
    for (latency,) in found.values():
        assert latency.median_ms >= 20
        assert latency.thread_ms is not None
        assert latency.thread_ms < 10
        assert latency.warm_ms is not None
        assert latency.warm_interval_ms is not None
        assert latency.warm_interval_ms[0] <= latency.warm_ms <= latency.warm_interval_ms[1]
    assert alone.warm_ms is None


def test_a_comparison_of_an_earlier_version_is_known_to_have_had_one_order() -> None:
    stored = Latency(batch_size=1, median_ms=1.0, p95_ms=2.0, repeats=50, device={})
    model = ComparedModel(parameters=1, size_bytes=4, flops=None, latency=(stored,), energy=None)
    assert not model.is_in_random_order
