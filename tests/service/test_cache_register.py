from antiphon.service.cache_register import EntryRegister


def keys(register: EntryRegister) -> list[bytes]:
    return [key for key, _ in register.notes()]


def test_read_counts_and_makes_an_entry_the_last_one() -> None:
    register = EntryRegister()
    register.note_written(b"one", "salt", "model", 1)
    register.note_written(b"two", "salt", "model", 2)
    register.note_read(b"one", "salt", "model", 3)
    register.note_read(b"one", "salt", "model", 4)
    assert keys(register) == [b"two", b"one"]
    note = dict(register.notes())[b"one"]
    assert (note.hits, note.written_at, note.used_at) == (2, 1, 4)


def test_entry_that_is_written_again_keeps_its_hits_and_its_age() -> None:
    register = EntryRegister()
    register.note_written(b"one", "salt", "model", 1)
    register.note_read(b"one", "salt", "model", 5)
    # Requests need not be noted in the order of their starts.
    register.note_written(b"one", "salt", "model", 3)
    note = dict(register.notes())[b"one"]
    assert (note.hits, note.written_at, note.used_at) == (1, 1, 5)


def test_entry_of_an_earlier_process_has_no_age() -> None:
    register = EntryRegister()
    register.note_read(b"one", "salt", "model", 3)
    note = dict(register.notes())[b"one"]
    assert (note.hits, note.written_at, note.used_at) == (1, None, 3)


def test_entries_used_longest_ago_make_room() -> None:
    register = EntryRegister(most=2)
    for key in (b"one", b"two"):
        register.note_written(key, "salt", "model", 1)
    register.note_read(b"one", "salt", "model", 2)
    register.note_written(b"three", "salt", "model", 3)
    assert keys(register) == [b"one", b"three"]
    register.forget([b"one", b"gone"])
    assert keys(register) == [b"three"]
