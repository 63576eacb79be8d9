from antiphon.engines.llama.rates import Rates

SIZE, TOKENS = 1000, 100


def test_snapshot_is_restored_where_that_was_faster_than_reading() -> None:
    rates = Rates()
    assert rates.restores_faster(SIZE, TOKENS, read_ms=0), "what was not measured is tried"
    rates.note_restored(SIZE, ms=5)
    assert rates.restores_faster(SIZE, TOKENS, read_ms=6)
    assert not rates.restores_faster(SIZE, TOKENS, read_ms=4)
    rates.note_read(TOKENS, ms=4)
    assert not rates.restores_faster(SIZE, TOKENS, read_ms=6), "what was read since counts"
    for _ in range(20):
        rates.note_read(TOKENS, ms=40)
    assert rates.restores_faster(SIZE, TOKENS, read_ms=0)
