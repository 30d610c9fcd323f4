"""What is remembered is bounded."""

from __future__ import annotations

from penstock.upstream.demo.stock import Shelf, Stock


def test_things_are_kept_found_and_taken():
    shelf: Shelf[str] = Shelf()
    shelf.put("a", "one", 10)
    shelf.put("b", "two", 5)
    assert (shelf.get("a"), shelf.all(), shelf.size) == ("one", ["two", "one"], 15)
    assert shelf.take("a") == "one"
    assert (shelf.take("a"), shelf.get("a"), shelf.size) == (None, None, 5)


def test_putting_again_replaces():
    shelf: Shelf[int] = Shelf()
    shelf.put("a", 1, 10)
    shelf.put("a", 2, 3)
    assert (shelf.all(), shelf.size) == ([2], 3)


def test_the_oldest_make_room():
    shelf: Shelf[int] = Shelf(count_limit=2, size_limit=100)
    for number in range(3):
        shelf.put(str(number), number, 10)
    assert shelf.all() == [2, 1]
    shelf.put("big", 3, 95)
    assert (shelf.all(), shelf.size) == ([3], 95)


def test_what_is_larger_than_the_shelf_is_not_kept():
    shelf: Shelf[int] = Shelf(size_limit=100)
    shelf.put("a", 1, 60)
    shelf.put("b", 2, 101)
    assert shelf.all() == [1]


def test_a_request_is_seen_once_it_was_seen():
    stock = Stock()
    assert [stock.seen("x"), stock.seen("x"), stock.seen("y"), stock.seen("x")] == [False, True, False, True]
