"""The table that every screen stands on, alone in a small app."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from advisor.tui.widgets.table import Column, Part, Row, Table, cell

COLUMNS = (
    Column("name", "Name"),
    Column("memory", "GiB", right=True, descending=True),
    Column("price", "Price", right=True),
    Column("remark", "Remark"),
)


def row(name: str, memory: float | None = None, price: float | None = None, **options: object) -> Row:
    return Row(
        key=name,
        cells=(
            name,
            "-" if memory is None else f"{memory:g}",
            "-" if price is None else f"{price:g}",
            "." * 30,
        ),
        order={"name": name, "memory": memory, "price": price},
        words=f"{name} {options.pop('words', '')}",
        **options,  # type: ignore[arg-type]
    )


CARDS = (row("beta", 24, 1700), row("delta", None, 5), row("alpha", 80, None), row("gamma", 8, 200))
MANY = tuple(row(f"card-{number:04}", number, 2000 - number) for number in range(2000))


class Watched(Table):
    """Counts the lines that it draws."""

    drawn = 0

    def render_line(self, y: int):
        self.drawn += 1
        return super().render_line(y)


class Face(App[None]):
    """Shows a table alone, and keeps what it says."""

    def __init__(self, rows: Iterable[Row], columns: tuple[Column, ...], fixed: int) -> None:
        super().__init__()
        self.table = Watched(columns, fixed=fixed, table_id="cards")
        self.first = tuple(rows)
        self.highlighted: list[str] = []
        self.opened: list[str] = []

    def compose(self) -> ComposeResult:
        yield self.table

    def on_mount(self) -> None:
        self.table.set_rows(self.first)
        self.table.focus()

    def on_table_highlighted(self, event: Table.Highlighted) -> None:
        self.highlighted.append(event.key)

    def on_table_opened(self, event: Table.Opened) -> None:
        self.opened.append(event.key)

    @property
    def listed(self) -> list[str]:
        return [each.key for each in self.table.rows]

    def line(self, y: int) -> str:
        return self.table.render_line(y).text


Steps = Callable[[Face, Pilot[None]], Awaitable[None]]


def drive(
    steps: Steps,
    rows: Iterable[Row] = CARDS,
    *,
    size: tuple[int, int] = (80, 12),
    columns: tuple[Column, ...] = COLUMNS,
    fixed: int = 1,
) -> None:
    async def run() -> None:
        app = Face(rows, columns, fixed)
        async with app.run_test(size=size, notifications=True, tooltips=True) as pilot:
            await pilot.pause()
            await steps(app, pilot)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("key", "reverse", "order"),
    [
        ("memory", None, ["alpha", "beta", "gamma", "delta"]),
        ("memory", False, ["gamma", "beta", "alpha", "delta"]),
        ("price", None, ["delta", "gamma", "beta", "alpha"]),
        ("price", True, ["beta", "gamma", "delta", "alpha"]),
        ("name", None, ["alpha", "beta", "delta", "gamma"]),
        ("name", True, ["gamma", "delta", "beta", "alpha"]),
        (None, None, ["beta", "delta", "alpha", "gamma"]),
        ("remark", None, ["beta", "delta", "alpha", "gamma"]),
        ("no such column", None, ["beta", "delta", "alpha", "gamma"]),
    ],
)
def test_rows_sort_by_number_and_text_and_what_is_unknown_comes_last(
    key: str | None, reverse: bool | None, order: list[str]
) -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        app.table.sort_by("price")
        app.table.sort_by(key, reverse=reverse)
        assert app.listed == order

    drive(steps)


def test_zero_and_empty_text_are_known() -> None:
    rows = (row("b", 1), row("a", 0), row("c", None), row("d", -1))

    async def steps(app: Face, pilot: Pilot[None]) -> None:
        app.table.sort_by("memory", reverse=False)
        assert app.listed == ["d", "a", "b", "c"]
        app.table.set_rows([Row("x", ("x",), {"name": "b"}), Row("y", ("y",), {"name": ""})])
        app.table.sort_by("name")
        assert app.listed == ["y", "x"]

    drive(steps, rows)


def test_equal_rows_keep_the_order_that_was_given() -> None:
    rows = (row("b", 8), row("a", 8), row("c", 8))

    async def steps(app: Face, pilot: Pilot[None]) -> None:
        for reverse in (False, True):
            app.table.sort_by("memory", reverse=reverse)
            assert app.listed == ["b", "a", "c"]

    drive(steps, rows)


def test_the_keys_sort_by_each_column_in_turn_and_reverse() -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        seen = []
        for _ in range(4):
            await pilot.press("s")
            seen.append(app.table.sort_key)
        assert seen == ["name", "memory", "price", None]
        await pilot.press("r")
        await pilot.press("S")
        assert app.table.sort_key == "price"
        assert app.line(0).split()[2] == "Price▲"
        await pilot.press("r")
        assert app.line(0).split()[2] == "Price▼"
        assert app.listed == ["beta", "gamma", "delta", "alpha"]

    drive(steps)


def test_a_click_on_a_title_sorts_and_another_one_reverses() -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        await pilot.click(app.table, offset=(app.line(0).index("GiB"), 0))
        assert app.listed == ["alpha", "beta", "gamma", "delta"]
        await pilot.click(app.table, offset=(app.line(0).index("GiB"), 0))
        assert app.listed == ["gamma", "beta", "alpha", "delta"]
        await pilot.click(app.table, offset=(app.line(0).index("Remark"), 0))
        await pilot.click(app.table, offset=(79, 0))
        assert app.table.sort_key == "memory"

    drive(steps)


def test_a_click_on_a_title_means_the_column_that_is_scrolled_there() -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        await pilot.press("l")
        await pilot.click(app.table, offset=(app.line(0).index("ice "), 0))
        assert app.table.sort_key == "price"
        await pilot.click(app.table, offset=(1, 0))
        assert app.table.sort_key == "name"

    drive(steps, size=(22, 8))


def test_the_cursor_stays_on_its_row() -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        assert app.table.move_to("alpha")
        assert not app.table.move_to("omega")
        assert app.table.current is CARDS[2]
        app.table.sort_by("price")
        assert app.table.cursor == 3
        app.table.set_rows([row("omega", 1), row("alpha", 81), *CARDS[:2]])
        assert app.table.current == row("alpha", 81)
        app.table.set_filter("omega")
        assert app.table.current == row("omega", 1)
        app.table.set_rows(CARDS)
        assert app.listed == []
        assert app.table.current is None
        app.table.set_filter("")
        assert app.table.current == app.table.rows[0]

    drive(steps)


def test_a_filter_wants_every_word_whatever_its_capitals() -> None:
    rows = (
        row("h100", words="NVIDIA Hopper"),
        row("h200", words="NVIDIA Hopper"),
        row("mi300x", words="AMD"),
    )

    async def steps(app: Face, pilot: Pilot[None]) -> None:
        app.table.set_filter("HOPPER nvidia 200")
        assert app.listed == ["h200"]
        app.table.set_filter("[/")
        assert app.listed == []
        app.table.set_filter(" ")
        assert app.listed == ["h100", "h200", "mi300x"]

    drive(steps, rows)


def test_keys_move_the_cursor_and_stop_at_the_ends() -> None:
    rows = MANY[:50]

    async def steps(app: Face, pilot: Pilot[None]) -> None:
        places = []
        for key in (
            "up",
            "j",
            "down",
            "k",
            "pagedown",
            "pageup",
            "G",
            "down",
            "end",
            "g",
            "home",
            "end",
            "home",
        ):
            await pilot.press(key)
            places.append(app.table.cursor)
        assert places == [0, 1, 2, 1, 11, 1, 49, 49, 49, 0, 0, 49, 0]

    drive(steps, rows)


def test_what_the_cursor_is_on_is_always_seen() -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        for key in ("end", "pageup", "k", "home", "pagedown", "pagedown", "j", "G"):
            await pilot.press(key)
            await pilot.pause()
            lines = [app.line(y) for y in range(1, app.table.size.height)]
            assert any(app.table.current.key in line for line in lines), key
        await pilot.resize_terminal(80, 6)
        await pilot.press("up")
        await pilot.pause()
        assert any(app.table.current.key in app.line(y) for y in range(1, app.table.size.height))

    drive(steps, MANY[:50])


def test_sideways_the_fixed_columns_stay() -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        whole = app.line(1)
        assert whole.startswith("beta ")
        await pilot.press("right")
        await pilot.pause()
        moved = app.line(1)
        assert app.table.scroll_offset.x == 8
        assert moved.startswith("beta  ")
        assert moved != whole
        assert len(moved) == len(app.line(0)) == 22
        for _ in range(9):
            await pilot.press("l")
        assert app.line(1).rstrip().endswith("." * 10)
        assert app.line(1).startswith("beta  ")
        for _ in range(9):
            await pilot.press("h")
        await pilot.pause()
        assert app.line(1) == whole

    drive(steps, size=(22, 8))


def test_enter_and_a_double_click_open() -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        await pilot.press("down", "enter")
        assert app.opened == ["delta"]
        await pilot.click(app.table, offset=(1, 3))
        assert app.table.current is CARDS[2]
        assert app.opened == ["delta"]
        await pilot.double_click(app.table, offset=(1, 4))
        assert app.opened == ["delta", "gamma"]
        # Below the last row there is nothing to open, and a title is no row.
        await pilot.double_click(app.table, offset=(1, 7))
        await pilot.double_click(app.table, offset=(1, 0))
        assert app.opened == ["delta", "gamma"]

    drive(steps)


def test_a_click_after_scrolling_means_the_row_that_is_seen() -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        await pilot.press("end")
        await pilot.pause()
        wanted = app.line(2).split()[0]
        await pilot.click(app.table, offset=(1, 2))
        assert app.table.current.key == wanted == "card-0040"

    drive(steps, MANY[:50])


def test_the_row_under_the_mouse_is_marked_and_unmarked() -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        await pilot.hover(app.table, offset=(1, 2))
        assert app.table.hover == 1
        await pilot.hover(app.table, offset=(1, 0))
        assert app.table.hover == -1
        await pilot.hover(app.table, offset=(1, 9))
        assert app.table.hover == -1

    drive(steps)


def test_it_tells_only_of_another_row() -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        assert app.highlighted == ["beta"]
        app.table.set_rows(tuple(CARDS))
        app.table.sort_by("memory")
        await pilot.press("up", "up")
        app.highlighted.clear()
        app.table.set_rows(tuple(CARDS))
        app.table.sort_by("memory", reverse=False)
        await pilot.pause()
        assert app.highlighted == []
        await pilot.press("end", "end")
        assert app.highlighted == ["delta"]
        # The same row with other values is news.
        app.table.set_rows([row("delta", 12, 6), *CARDS[2:]])
        await pilot.pause()
        assert app.highlighted == ["delta", "delta"]

    drive(steps)


def test_wide_characters_take_two_cells_and_lines_keep_their_width() -> None:
    columns = (Column("name", "Name", widest=9), Column("price", "Price", right=True))
    rows = (
        Row("a", ("显卡显卡显卡", "1")), Row("b", ("cafe\u0301", "22")), Row("c", ("plain", "3")),
    )  # fmt: skip

    async def steps(app: Face, pilot: Pilot[None]) -> None:
        lines = [app.table.render_line(y) for y in range(5)]
        assert {line.cell_length for line in lines} == {30}
        assert "显卡显卡" in lines[1].text
        assert "显卡显卡显" not in lines[1].text
        ends = [line.crop(0, 17).text.rstrip() for line in lines[1:4]]
        assert [end[-1] for end in ends] == ["1", "2", "3"]

    drive(steps, rows, size=(30, 5), columns=columns)


def test_a_row_shorter_than_the_columns_has_a_note_to_the_end_of_the_line() -> None:
    note = "does not fit: needs 80 GiB, has 24, and more words than there is room for"
    rows = (row("beta", 24, 1700), Row("alpha", ("alpha",), note=note, dim=True))

    async def steps(app: Face, pilot: Pilot[None]) -> None:
        assert app.line(2).startswith(f"alpha {note[:30]}")
        assert len(app.line(2)) == 60
        normal, dim = app.table.render_line(1), app.table.render_line(2)
        await pilot.press("end")
        assert app.line(2).startswith("alpha does not fit")
        assert {segment.style.color for segment in normal} != {segment.style.color for segment in dim}

    drive(steps, rows, size=(60, 5))


def test_parts_of_a_cell_are_harmless_and_cut_to_their_column() -> None:
    columns = (Column("name", "Name", widest=8), Column("bar", "Bar"))
    rows = (
        Row("a", (cell("[/]x\x1b", Part("[@click=app.quit]long", "bad")), cell("[b]", Part("!", "warn")))),
    )

    async def steps(app: Face, pilot: Pilot[None]) -> None:
        assert app.line(1).rstrip() == "[/]x\ufffd[@c [b]!"
        assert all("click" not in str(segment.style.meta) for segment in app.table.render_line(1))

    drive(steps, rows, columns=columns)


def test_a_table_without_rows_answers_every_key() -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        await pilot.press(
            "up", "down", "pagedown", "pageup", "end", "home", "enter", "s", "S", "r", "left", "right"
        )
        await pilot.click(app.table, offset=(1, 1))
        await pilot.click(app.table, offset=(1, 0))
        assert app.table.current is None
        assert (app.highlighted, app.opened) == ([], [])
        assert app.line(0).split() == ["Name", "GiB", "Price", "Remark"]
        assert not app.line(1).strip()
        app.table.set_rows(CARDS)
        await pilot.pause()
        assert app.highlighted == ["beta"]

    drive(steps, ())


def test_of_two_thousand_rows_only_what_is_seen_is_drawn() -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        await pilot.pause()
        for key in ("end", "pageup", "s"):
            app.table.drawn = 0
            await pilot.press(key)
            await pilot.pause()
            # A key may draw twice: once for the scroll, once for the cursor.
            assert 0 < app.table.drawn <= 3 * app.table.size.height, key
        assert app.listed == [each.key for each in MANY]
        assert app.table.virtual_size.height == 2001

    drive(steps, MANY)


def test_other_columns_keep_the_order_where_they_still_have_it() -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        app.table.sort_by("price")
        app.table.set_columns(COLUMNS[:3])
        app.table.set_rows([Row(each.key, each.cells[:3], each.order) for each in CARDS])
        assert app.table.sort_key == "price"
        app.table.set_columns(COLUMNS[:2])
        app.table.set_rows([Row(each.key, each.cells[:2], each.order) for each in CARDS])
        assert app.table.sort_key is None
        assert app.line(0).split() == ["Name", "GiB"]

    drive(steps)
