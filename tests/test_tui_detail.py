"""Everything about one GPU: its bars and plots as text, the pane and the screen by their keys over the real service."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from advisor.documents import EstimateDocument, RecommendAnswer
from advisor.quantity import Quantity
from advisor.render import words
from advisor.render.charts import axis
from advisor.service import Advisor, open_advisor
from advisor.tui.desk import MOST_COMPARED, Choice, Desk, Question
from advisor.tui.screens.detail import DetailScreen
from advisor.tui.widgets.detail import ASKING, Detail
from advisor.tui.widgets.facts import Specification
from advisor.tui.widgets.figures import outlay_figure, outlay_said, roofline_figure
from advisor.tui.widgets.memory_bar import LIMIT, bar, memory_bar, scale_gib
from advisor.tui.widgets.plots import LEAST_HEIGHT, LEAST_WIDTH, Figure, Line, Mark, Plot, as_text, drawn
from advisor.tui.widgets.time_bars import interval_bar, time_bars
from advisor.workload import Workload

MOST = {"model": {"name": "llama-3.1-8b"}, "method": "lora"}
JOB = Workload.model_validate({**MOST, "data": {"tokens": 50_000_000}})
NO_LENGTH = Workload.model_validate(MOST)
HOSTILE = "[/] [@click=app.quit]x[/] \x1b]0;OWNED\x07 [bold"


@pytest.fixture(scope="module")
def service() -> Advisor:
    return open_advisor()


@pytest.fixture(scope="module")
def ranking(service: Advisor) -> RecommendAnswer:
    return service.recommend(JOB, limit=None)


def estimate(service: Advisor, gpu: str, count: int = 1, workload: Workload = JOB) -> EstimateDocument:
    return service.estimate(workload, gpus=[gpu], count=count).estimates[0]


def without_prices(document: EstimateDocument) -> EstimateDocument:
    """Return an estimate of a GPU that nobody sells or rents."""
    fields = type(document.cost).model_fields
    cost = {name: () if name in ("over_time", "flips") else None for name in fields}
    return document.model_copy(update={"cost": document.cost.model_copy(update=cost)})


# Bars


def test_the_parts_of_the_memory_stay_before_the_limit_where_they_fit_and_pass_it_where_not(
    service: Advisor,
) -> None:
    fits, over = estimate(service, "rtx-4090"), estimate(service, "rtx-4070")
    for document, passes in ((fits.memory, False), (over.memory, True)):
        before, _, after = str(bar(document, 60, scale_gib(document))).partition(LIMIT)
        assert set(before) <= set("PGOATHM.")
        assert bool(set(after.strip()) & set("PGOATHM")) is passes
        assert abs(len(before) / 60 - document.available_gib / scale_gib(document)) < 1 / 60


def test_the_memory_bar_says_every_part_the_limit_and_the_interval_in_any_width(service: Advisor) -> None:
    document = estimate(service, "rtx-4090").memory
    for width in (20, 45, 60, 138):
        lines = str(memory_bar(document, width)).splitlines()
        assert max(map(len, lines)) <= max(width, 24)
        text = " ".join(lines)
        for part in words.memory_parts(document):
            assert f"{part.letter} {part.name} {words.gib(part.gib)}" in text
        assert f"limit {words.gib(document.available_gib)} GiB" in text
        assert "├" in lines[1]
        assert "┤" in lines[1]
        value = round(document.required_gib.value / scale_gib(document) * (width - 1))
        assert abs(lines[1].index("┼") - value) <= 1


def test_time_bars_are_as_long_as_the_shares(service: Advisor) -> None:
    breakdown = estimate(service, "rtx-4090").breakdown
    lines = str(time_bars(breakdown, 80)).splitlines()
    lengths = [sum(letter in "▏▎▍▌▋▊▉█" for letter in line) for line in lines]
    assert len(lines) == len(breakdown)
    assert max(map(len, lines)) <= 80
    assert lengths == sorted(lengths, reverse=True)
    assert all(f"{item.share:.0%}" in line for item, line in zip(breakdown, lines, strict=True))


def test_intervals_share_their_scale_and_what_is_unknown_is_empty() -> None:
    short, long = Quantity(value=1.0, low=0.5, high=2.0), Quantity(value=4.0, low=3.0, high=8.0)
    assert len(interval_bar(long, 20, 8.0)) == 20
    assert len(interval_bar(short, 20, 8.0)) <= 6
    assert interval_bar(None, 20, 8.0) == ""
    assert interval_bar(Quantity(value=4.0, low=4.0, high=4.0), 20, 8.0).strip() == "┼"


# Plots


def test_the_roofline_has_its_roof_a_letter_for_every_operator_and_logarithmic_axes(service: Advisor) -> None:
    document = estimate(service, "rtx-4090").roofline
    assert document is not None
    lines = as_text(drawn(roofline_figure(document), 60, 16)).splitlines()
    assert lines[0].startswith("TFLOP/s")
    assert lines[-1].endswith("FLOP/byte (log)")
    inside = "\n".join(line[6:] for line in lines[1:-3])
    for letter, _ in zip("ABCDEFGH", document.operators, strict=False):
        assert letter in inside
    assert any("\u2800" < letter <= "\u28ff" for letter in inside)
    ticks = lines[-2].split()
    assert {"10", "100", "1k"} <= set(ticks)


def test_faster_operators_stand_higher(service: Advisor) -> None:
    document = estimate(service, "rtx-4090").roofline
    assert document is not None
    lines = as_text(drawn(roofline_figure(document), 60, 30)).splitlines()[1:-3]
    letters = dict(zip("ABCDEFGH", document.operators, strict=False))
    heights = {
        letter: next(number for number, line in enumerate(lines) if letter in line[6:]) for letter in letters
    }
    fastest = max(letters, key=lambda letter: letters[letter].tflops)
    slowest = min(letters, key=lambda letter: letters[letter].tflops)
    assert heights[fastest] < heights[slowest]


def test_buying_and_renting_meet_at_the_break_even_that_is_marked_and_said(service: Advisor) -> None:
    cost = estimate(service, "rtx-4090").cost
    assert cost.break_even_h is not None
    figure = outlay_figure(cost)
    assert figure is not None
    text = as_text(drawn(figure, 70, 16))
    assert "X" in text
    assert "buy" in text
    assert "rent" in text
    assert f"break-even {cost.break_even_h:,.0f} h" in text
    assert words.hours_of_use(cost.break_even_h) in outlay_said(cost)
    assert sum(line.dashed for line in figure.lines) == 1


def test_a_cost_without_prices_has_no_plot_and_is_said_to_be_unknown(service: Advisor) -> None:
    cost = without_prices(estimate(service, "rtx-4090")).cost
    assert outlay_figure(cost) is None
    assert outlay_said(cost) == "no price is known"


def test_labels_that_would_overlap_are_left_out_and_the_most_important_stays() -> None:
    marks = [Mark(1.0 + number / 1000, 1.0, "*", labels=(f"a long name {number}",)) for number in range(9)]
    across = axis("x", [0.5, 2.0], str, log=False)
    text = as_text(drawn(Figure(across, axis("y", [0.5, 2.0], str, log=False), marks=tuple(marks)), 40, 12))
    shown = [number for number in range(9) if f"a long name {number}" in text]
    assert 0 in shown
    assert len(shown) < 9


def test_what_has_no_room_says_so_and_hostile_labels_are_only_letters() -> None:
    across, up = axis("x", [1, 1000], str, log=True), axis("y", [1, 1000], str, log=True)
    figure = Figure(across, up, (Line(((1, 1), (1000, 1000))),), (Mark(30, 30, "*", labels=(HOSTILE,)),))
    assert "no room" in as_text(drawn(figure, LEAST_WIDTH - 1, LEAST_HEIGHT))
    text = as_text(drawn(figure, 100, 20))
    assert "[@click=app.quit]" in text
    assert "\x1b" not in text
    assert "\x07" not in text
    for width in range(1, 90, 7):
        for height in range(1, 30, 5):
            assert len(drawn(figure, width, height)) == height


# The pane


class Pane(App[None]):
    """Shows the pane alone."""

    def compose(self) -> ComposeResult:
        yield Detail()

    @property
    def detail(self) -> Detail:
        return self.query_one(Detail)


def show(steps: Callable[[Pane, Pilot[None]], Awaitable[None]], size: tuple[int, int] = (60, 20)) -> None:
    async def run() -> None:
        app = Pane()
        async with app.run_test(size=size, notifications=True, tooltips=True) as pilot:
            await pilot.pause()
            await steps(app, pilot)

    asyncio.run(run())


def flat(text: str) -> str:
    """Return text without blanks: where it is wrapped depends on the width."""
    return "".join(text.split())


def seen(app: App[None]) -> str:
    """Return what is on the screen."""
    height = app.size.height
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text for strip in strips[:height])


def test_a_gpu_that_fits_is_shown_with_all_that_is_known(service: Advisor) -> None:
    document = estimate(service, "rtx-4090")

    async def steps(app: Pane, pilot: Pilot[None]) -> None:
        app.detail.show(document, "the title of the job")
        await pilot.pause()
        text = flat(app.detail.text)
        assert flat("RTX 4090: likely fits") in text
        assert flat("the title of the job") in text
        assert flat(words.hours(document.total_time_h)) in text
        for label, said in words.cost_lines(document.cost, 1):
            assert flat(label + said) in text
        for item in document.evidence:
            assert flat(words.evidence(item)) in text
        for said in (*document.assumptions, *document.warnings, words.fitted_on(document) or "?"):
            assert flat(said) in text
        assert app.query_one("#roofline").display
        assert app.query_one("#outlay").display

    show(steps)


def test_a_gpu_that_does_not_fit_says_what_would_and_has_no_times(service: Advisor) -> None:
    document = estimate(service, "rtx-4070")

    async def steps(app: Pane, pilot: Pilot[None]) -> None:
        app.detail.show(document)
        await pilot.pause()
        text = app.detail.text
        assert "RTX 4070: does not fit" in text
        assert document.would_fit[0].change in text
        assert "throughput" not in text
        assert not app.query_one("#roofline").display

    show(steps)


def test_several_gpus_no_prices_and_no_length_are_said_in_words(service: Advisor) -> None:
    several = estimate(service, "h100-sxm", 4)
    priceless = without_prices(estimate(service, "rtx-4090"))
    endless = estimate(service, "rtx-4090", workload=NO_LENGTH)

    async def steps(app: Pane, pilot: Pilot[None]) -> None:
        app.detail.show(several)
        assert words.title(several) in app.detail.text
        assert flat("on each GPU") in flat(app.detail.text)
        app.detail.show(priceless)
        await pilot.pause()
        assert "no price known" in app.detail.text
        assert not app.query_one("#outlay").display
        app.detail.show(endless)
        await pilot.pause()
        assert "a step" in app.detail.text

    show(steps)


def test_a_row_of_the_ranking_is_shown_at_once_and_says_what_is_still_asked_for(
    service: Advisor, ranking: RecommendAnswer
) -> None:
    row = ranking.recommendations[40]

    async def steps(app: Pane, pilot: Pilot[None]) -> None:
        app.detail.show(row)
        await pilot.pause()
        assert ASKING in app.detail.text
        assert ASKING in app.query_one("#roofline-plot", Plot).text
        parts = list(app.detail.query("*"))
        app.detail.show(estimate(service, row.gpu, row.count))
        await pilot.pause()
        assert ASKING not in app.detail.text
        assert list(app.detail.query("*")) == parts, "the parts are the same widgets"

    show(steps)


def test_text_from_outside_is_text(service: Advisor) -> None:
    document = estimate(service, "rtx-4090").model_copy(
        update={
            "name": HOSTILE, "gpu": HOSTILE, "bottleneck": HOSTILE,
            "warnings": (HOSTILE,), "assumptions": (HOSTILE,),
        }
    )  # fmt: skip

    async def steps(app: Pane, pilot: Pilot[None]) -> None:
        app.detail.show(document, HOSTILE)
        await pilot.pause()
        assert "[@click=app.quit]x[/]" in seen(app)
        assert "\x1b" not in app.detail.text
        app.detail.say(HOSTILE)
        await pilot.pause()
        assert "[@click=app.quit]x[/]" in seen(app)
        assert "Memory" not in seen(app)

    show(steps)


def test_the_pane_fits_every_size_and_puts_parts_beside_each_other_where_there_is_room(
    service: Advisor,
) -> None:
    document = estimate(service, "rtx-4090")

    async def steps(app: Pane, pilot: Pilot[None]) -> None:
        app.detail.show(document)
        for width, height in ((45, 12), (60, 20), (80, 24), (140, 45), (45, 12)):
            await pilot.resize_terminal(width, height)
            await pilot.pause()
            assert app.detail.has_class("-roomy") is (width >= 96)
            assert app.detail.max_scroll_x == 0
            beside = any("Memory" in line and "Time" in line for line in seen(app).splitlines())
            assert beside is (width >= 96)

    show(steps)


def test_the_place_is_kept_from_one_gpu_to_the_next(service: Advisor) -> None:
    documents = [estimate(service, "rtx-4090"), estimate(service, "l40s")]

    async def steps(app: Pane, pilot: Pilot[None]) -> None:
        app.detail.show(documents[0])
        app.detail.focus()
        await until(pilot, lambda: app.detail.max_scroll_y > 20)
        await pilot.press("pagedown")
        await until(pilot, lambda: app.detail.scroll_offset.y > 0)
        await pilot.wait_for_scheduled_animations()
        place = app.detail.scroll_offset.y
        app.detail.show(documents[1])
        await pilot.pause()
        assert app.detail.scroll_offset.y == place

    show(steps, (50, 14))


# The screen


class Face(App[None]):
    """Opens the screen over an empty one."""

    def __init__(self, service: Advisor, choice: Choice, settings: dict[str, str] | None = None) -> None:
        super().__init__()
        given = {"method": "lora", "data.tokens": "50M"} if settings is None else settings
        self.desk = Desk(lambda: service, Question("llama-3.1-8b", given))
        self.choice = choice

    async def on_mount(self) -> None:
        """Answer the question, and open the screen."""
        await self.desk.answer_question()
        self.shown = DetailScreen(self.desk, self.choice)
        await self.push_screen(self.shown)

    @property
    def detail(self) -> Detail:
        return self.shown.query_one(Detail)

    @property
    def place(self) -> str:
        return str(self.shown.query_one("#place").render())


def drive(
    service: Advisor,
    choice: Choice,
    steps: Callable[[Face, Pilot[None]], Awaitable[None]],
    size: tuple[int, int] = (80, 24),
    settings: dict[str, str] | None = None,
) -> None:
    async def run() -> None:
        app = Face(service, choice, settings)
        async with app.run_test(size=size, notifications=True, tooltips=True) as pilot:
            await until(pilot, lambda: app.shown.is_mounted)
            await steps(app, pilot)

    asyncio.run(run())


async def until(pilot: Pilot[None], done: Callable[[], bool]) -> None:
    for _ in range(400):
        if done():
            return
        await pilot.pause(0.01)
    raise AssertionError("it never happened")


def test_the_screen_asks_for_the_estimate_and_exports_it(service: Advisor) -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: app.shown.exported() is not None)
        shown = app.shown.exported()
        assert shown is not None
        assert shown[1] == "estimate-rtx-4090"
        assert shown[0] == service.estimate(app.desk.workload, gpus=["rtx-4090"], count=1)  # type: ignore[arg-type]
        assert "RTX 4090" in app.detail.text
        assert "#" in app.place

    drive(service, Choice("rtx-4090", 1), steps)


def test_keys_step_through_the_ranking_however_long_they_are_held(service: Advisor) -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        answer = app.desk.answer
        assert answer is not None
        rows = answer.recommendations
        await pilot.press("left")
        assert app.shown.choice == Choice(rows[0].gpu, rows[0].count), "there is none before the first"
        await pilot.press(*["right"] * 12, "left_square_bracket")
        wanted = rows[11]
        assert app.shown.choice == Choice(wanted.gpu, wanted.count) == app.desk.looking_at
        await until(pilot, lambda: app.shown.answer is not None)
        assert app.shown.answer is not None
        assert app.shown.answer.estimates[0].gpu == wanted.gpu
        assert words.title(wanted) in app.detail.text
        assert "#12 of" in app.place

    service_first = service.recommend(JOB, limit=1).recommendations[0]
    drive(service, Choice(service_first.gpu, service_first.count), steps)


def test_the_number_of_gpus_doubles_and_what_cannot_be_split_is_said_in_place(service: Advisor) -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: app.shown.answer is not None)
        await pilot.press("minus")
        assert app.shown.choice.count == 1
        await pilot.press("plus")
        await until(pilot, lambda: "2 x RTX 4090" in app.detail.text)
        assert "another number" in app.place or "#" in app.place
        await pilot.press("plus", "plus", "plus")
        await until(pilot, lambda: app.detail.text.startswith("! 16 x rtx-4090:"))
        assert app.shown.exported() is None
        await pilot.press("minus")
        await until(pilot, lambda: "8 x RTX 4090" in app.detail.text)

    settings = {"method": "lora", "data.tokens": "50M", "batch.global": "8"}
    drive(service, Choice("rtx-4090", 1), steps, settings=settings)


def test_space_picks_up_to_four_and_says_so(service: Advisor) -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: app.shown.answer is not None)
        await pilot.press("space")
        assert app.desk.compared == (Choice("rtx-4090", 1),)
        assert "picked" in app.place
        for _ in range(MOST_COMPARED):
            await pilot.press("right", "space")
        assert len(app.desk.compared) == MOST_COMPARED
        await pilot.press("left", "space")
        assert len(app.desk.compared) == MOST_COMPARED - 1

    drive(service, Choice("rtx-4090", 1), steps)


def test_the_specification_is_beside_the_estimate_or_takes_its_place(service: Advisor) -> None:
    async def wide(app: Face, pilot: Pilot[None]) -> None:
        specification = app.shown.query_one(Specification)
        await until(pilot, lambda: "GDDR6X" in specification.text)
        assert specification.display
        assert app.detail.display
        await pilot.press("i")
        assert not specification.display
        assert app.detail.has_focus

    async def narrow(app: Face, pilot: Pilot[None]) -> None:
        specification = app.shown.query_one(Specification)
        await until(pilot, lambda: "GDDR6X" in specification.text)
        assert not specification.display
        await pilot.press("i")
        assert specification.display
        assert specification.has_focus
        assert not app.detail.display
        await pilot.press("escape")
        assert app.detail.display
        assert app.screen is app.shown
        await pilot.press("escape")
        assert app.screen is not app.shown

    drive(service, Choice("rtx-4090", 1), wide, (140, 45))
    drive(service, Choice("rtx-4090", 1), narrow)


@pytest.mark.parametrize("key", ["escape", "backspace", "q"])
def test_every_way_back_leads_back(service: Advisor, key: str) -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        assert app.screen is app.shown
        await pilot.press(key)
        assert app.screen is not app.shown
        assert app.is_running

    drive(service, Choice("rtx-4090", 1), steps)


def test_a_gpu_that_the_catalog_has_not_is_said_with_its_brackets(service: Advisor) -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: app.detail.text.startswith("! 1 x [/]:"))
        assert app.shown.exported() is None
        await pilot.press("space", "right", "plus")
        await pilot.pause()
        assert app.is_running

    drive(service, Choice("[/]", 1), steps)


def test_leaving_before_the_answer_comes_is_no_fault(service: Advisor) -> None:
    async def steps(app: Face, pilot: Pilot[None]) -> None:
        for _ in range(5):
            await pilot.press("escape")
            await app.push_screen(DetailScreen(app.desk, Choice("rtx-4090", 1)))
            app.screen.query_one(Detail).focus()
            app.pop_screen()
            await pilot.pause(0.03)
            await app.push_screen(DetailScreen(app.desk, Choice("h100-sxm", 2)))
        assert app.is_running

    drive(service, Choice("rtx-4090", 1), steps)
