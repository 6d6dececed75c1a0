"""Choices side by side, and time against cost: the two screens by their keys over the real service."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import pytest
from textual.app import App
from textual.pilot import Pilot

from advisor.documents import CompareAnswer, RecommendAnswer
from advisor.errors import InputError
from advisor.render import words
from advisor.service import Advisor, open_advisor
from advisor.tui.desk import MOST_COMPARED, Choice, Desk, Question
from advisor.tui.screens.compare import CompareScreen
from advisor.tui.screens.desk_screen import DeskChanged, DeskScreen
from advisor.tui.screens.pareto import ParetoScreen, told
from advisor.tui.widgets.comparison import BEST, CHOSEN, comparison_rows, explained
from advisor.tui.widgets.detail import DetailWanted
from advisor.tui.widgets.figures import FRONT, steps, tradeoff, tradeoff_figure
from advisor.tui.widgets.fitted import Fitted
from advisor.tui.widgets.memory_bar import LIMIT
from advisor.tui.widgets.plots import Plot, as_text, drawn
from advisor.tui.widgets.ranking import choice_of
from advisor.tui.widgets.table import Part
from advisor.workload import Workload

SETTINGS = {"method": "lora", "data.tokens": "50M"}
JOB = Workload.model_validate(
    {"model": {"name": "llama-3.1-8b"}, "method": "lora", "data": {"tokens": 50_000_000}}
)
FOUR = (Choice("rtx-4090", 1), Choice("rtx-4070", 1), Choice("h100-sxm", 2), Choice("a100-sxm-80gb", 1))
HOSTILE = "[/] [@click=app.quit]x[/] \x1b]0;OWNED\x07 [bold"


@pytest.fixture(scope="module")
def service() -> Advisor:
    return open_advisor()


@pytest.fixture(scope="module")
def ranking(service: Advisor) -> RecommendAnswer:
    return service.recommend(JOB, limit=None)


@pytest.fixture(scope="module")
def compared(service: Advisor) -> CompareAnswer:
    return service.compare(JOB, gpus=[each.gpu for each in FOUR], count=[each.count for each in FOUR])


class Face(App[None]):
    """Shows one screen."""

    def __init__(
        self,
        service: Advisor,
        make: Callable[[Desk], DeskScreen],
        compared: tuple[Choice, ...],
        settings: Mapping[str, str],
    ) -> None:
        super().__init__()
        self.desk = Desk(lambda: service, Question("llama-3.1-8b", settings))
        self.desk.compared = compared
        self.wanted: list[Choice] = []
        self._make = make

    async def on_mount(self) -> None:
        """Answer the question, and open the screen."""
        await self.desk.answer_question()
        self.shown = self._make(self.desk)
        await self.push_screen(self.shown)

    def on_detail_wanted(self, event: DetailWanted) -> None:
        """Note what is to be opened."""
        self.wanted.append(event.choice)

    @property
    def told(self) -> str:
        """What the screen says above all."""
        return str(self.shown.query_one("#told").render())


def drive(
    service: Advisor,
    make: Callable[[Desk], DeskScreen],
    steps: Callable[[Face, Pilot[None]], Awaitable[None]],
    *,
    compared: tuple[Choice, ...] = (),
    size: tuple[int, int] = (80, 24),
    settings: Mapping[str, str] = SETTINGS,
) -> None:
    async def run() -> None:
        app = Face(service, make, compared, settings)
        async with app.run_test(size=size, notifications=True, tooltips=True) as pilot:
            await until(pilot, lambda: app.shown.is_mounted and bool(app.told))
            await steps(app, pilot)

    asyncio.run(run())


async def until(pilot: Pilot[None], done: Callable[[], bool]) -> None:
    for _ in range(400):
        if done():
            return
        await pilot.pause(0.01)
    raise AssertionError("it never happened")


def seen(app: App[None]) -> str:
    """Return what is on the screen."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


def text_of(cell: str | tuple[Part, ...]) -> str:
    return cell if isinstance(cell, str) else "".join(part.text for part in cell)


def of_row(answer: CompareAnswer, key: str, room: int = 24) -> list[str]:
    row = next(row for row in comparison_rows(answer, room) if row.key == key)
    return [text_of(cell) for cell in row.cells]  # type: ignore[arg-type]


# Side by side


def test_the_rows_are_those_of_the_words_and_the_best_that_fits_is_marked(compared: CompareAnswer) -> None:
    labels = [label for label, _ in words.compare_rows(compared.estimates, compared.ratios)]
    keys = [row.key for row in comparison_rows(compared, 24)]
    assert [key for key in keys if key in labels] == labels
    times = of_row(compared, "total time")
    assert [cell.startswith(BEST) for cell in times[1:]] == [False, False, True, False]
    prices = of_row(compared, "purchase")
    assert compared.estimates[1].cost.purchase_usd is not None
    assert not prices[2].startswith(BEST), "what does not fit is not the best buy"
    assert of_row(compared, "fits")[1:] == [" fits", " does not fit", " fits", " fits"]


def test_bars_have_one_scale(compared: CompareAnswer) -> None:
    bars = of_row(compared, "memory bar")[1:]
    places = [bar.index(LIMIT) for bar in bars]
    limits = [each.memory.available_gib for each in compared.estimates]
    assert sorted(range(4), key=lambda place: places[place]) == sorted(
        range(4), key=lambda each: limits[each]
    )
    assert bars[1].partition(LIMIT)[2].strip(), "what does not fit goes beyond the limit"
    assert not bars[0].partition(LIMIT)[2].strip()
    times = of_row(compared, "total time time bar")[1:]
    assert times[0].index("┼") > times[3].index("┼") > times[2].index("┼")
    assert times[1].strip() == ""


def test_a_row_is_written_out_with_evidence_and_warnings_of_the_chosen_column(
    compared: CompareAnswer,
) -> None:
    text = " ".join(str(explained(compared, "limited by", 1, 60)).split())
    for estimate in compared.estimates:
        assert f"{words.title(estimate)} {estimate.bottleneck or words.UNKNOWN}" in text
    assert compared.estimates[1].would_fit[0].change in text
    assert compared.estimates[1].warnings[-1] in text
    assert "parameters" in str(explained(compared, "memory bar", 0, 60))


def test_hostile_names_are_letters(service: Advisor, compared: CompareAnswer) -> None:
    estimates = tuple(
        each.model_copy(update={"name": HOSTILE, "bottleneck": HOSTILE, "warnings": (HOSTILE,)})
        for each in compared.estimates
    )
    answer = compared.model_copy(update={"estimates": estimates})

    async def steps_(app: Face, pilot: Pilot[None]) -> None:
        screen = app.shown
        assert isinstance(screen, CompareScreen)
        await until(pilot, lambda: screen.answer is not None)
        screen.table.compare(answer)
        screen.answer = answer
        await pilot.press("down", "right", "end")
        await pilot.pause()
        assert "[@click=app.quit]" in seen(app)
        assert "\x1b" not in seen(app)

    drive(service, CompareScreen, steps_, compared=FOUR, size=(140, 40))


def test_columns_are_chosen_made_the_reference_opened_and_put_back(service: Advisor) -> None:
    async def steps_(app: Face, pilot: Pilot[None]) -> None:
        screen = app.shown
        assert isinstance(screen, CompareScreen)
        await until(pilot, lambda: screen.answer is not None)
        assert f"{CHOSEN}RTX 4090" in seen(app)
        await pilot.press("right", "right")
        assert f"{CHOSEN}2 x H100" in seen(app)
        await pilot.press("enter")
        assert app.wanted == [FOUR[2]]
        await pilot.press("f")
        await until(pilot, lambda: screen.answer is not None and "H100" in screen.answer.estimates[0].name)
        assert app.desk.compared == (FOUR[2], FOUR[0], FOUR[1], FOUR[3])
        assert "Ratios are to 2 x H100" in app.told
        await pilot.press("right", "x")
        await until(pilot, lambda: screen.answer is not None and len(screen.answer.estimates) == 3)
        assert app.desk.compared == (FOUR[2], FOUR[1], FOUR[3])
        shown = screen.exported()
        assert shown is not None
        assert shown[0] == service.compare(
            JOB, gpus=["h100-sxm", "rtx-4070", "a100-sxm-80gb"], count=[2, 1, 1]
        )

    drive(service, CompareScreen, steps_, compared=FOUR)


def test_four_columns_scroll_sideways_under_their_titles_where_there_is_no_room(service: Advisor) -> None:
    async def steps_(app: Face, pilot: Pilot[None]) -> None:
        screen = app.shown
        assert isinstance(screen, CompareScreen)
        await until(pilot, lambda: screen.answer is not None and "total time" in seen(app))
        assert "A100" not in seen(app).splitlines()[3]
        await pilot.press("right", "right", "right")
        await pilot.pause()
        lines = seen(app).splitlines()
        head = next(line for line in lines if CHOSEN in line)
        assert f"{CHOSEN}A100" in head
        assert "RTX 4090" not in head
        assert any(line.startswith("total time") and "3.3" in line for line in lines)
        await pilot.resize_terminal(140, 45)
        await pilot.pause(0.05)
        head = next(line for line in seen(app).splitlines() if f"{CHOSEN}A100" in line)
        assert "RTX 4090" in head

    drive(service, CompareScreen, steps_, compared=FOUR)


def test_with_nothing_picked_out_it_says_how_and_one_key_compares_the_picks(service: Advisor) -> None:
    async def steps_(app: Face, pilot: Pilot[None]) -> None:
        screen = app.shown
        assert isinstance(screen, CompareScreen)
        assert "Nothing is picked out" in app.told
        assert "space" in app.told
        answer = app.desk.answer
        assert answer is not None
        assert all(words.pick(pick) in app.told for pick in answer.picks)
        await pilot.press("enter", "f", "x")
        assert screen.exported() is None
        await pilot.press("p")
        await until(pilot, lambda: screen.answer is not None)
        picks = dict.fromkeys(Choice(pick.gpu, pick.count) for pick in answer.picks)
        assert app.desk.compared == tuple(picks)[:MOST_COMPARED]
        await pilot.press(*["x"] * len(picks))
        await until(pilot, lambda: "Nothing is picked out" in app.told)

    drive(service, CompareScreen, steps_)


def test_one_that_is_picked_out_is_not_yet_a_comparison(service: Advisor) -> None:
    async def steps_(app: Face, pilot: Pilot[None]) -> None:
        assert "Only 1 x rtx-4090 is picked out" in app.told
        await pilot.press("p")
        await until(pilot, lambda: len(app.desk.compared) > 1)
        assert app.desk.compared[0] == FOUR[0]

    drive(service, CompareScreen, steps_, compared=FOUR[:1])


def test_what_cannot_be_compared_is_said_and_can_be_put_back(service: Advisor) -> None:
    async def steps_(app: Face, pilot: Pilot[None]) -> None:
        screen = app.shown
        assert isinstance(screen, CompareScreen)
        await until(pilot, lambda: app.told.startswith("! "))
        assert "[/]" in app.told
        assert screen.exported() is None
        await pilot.press("x")
        await until(pilot, lambda: screen.answer is not None)
        assert app.desk.compared == FOUR[:2]

    drive(service, CompareScreen, steps_, compared=(*FOUR[:2], Choice("[/]", 1)))


# Time against cost


def test_the_front_is_that_of_the_document_the_cheapest_first(ranking: RecommendAnswer) -> None:
    found = tradeoff(ranking.recommendations)
    assert found.costed
    assert {point.row.gpu for point in found.front} == {
        row.gpu for row in ranking.recommendations if row.pareto
    }
    costs = [point.row.cost.total_usd for point in found.front]
    times = [point.row.total_time_h.value for point in found.front if point.row.total_time_h]
    assert costs == sorted(costs, key=lambda usd: usd or 0)
    assert times == sorted(times, reverse=True)
    assert len(found.points) + found.missing == len(ranking.recommendations)
    texts = steps(found)
    assert texts[0] == "the cheapest"
    assert words.money((costs[1] or 0) - (costs[0] or 0)) in texts[1]


def test_the_plot_marks_and_numbers_the_front_on_logarithmic_axes(ranking: RecommendAnswer) -> None:
    found = tradeoff(ranking.recommendations)
    figure = tradeoff_figure(found, found.front[0].choice)
    assert figure is not None
    for width, height in ((120, 40), (78, 14), (40, 12)):
        text = as_text(drawn(figure, width, height))
        assert text.startswith("total cost, USD (log)")
        assert text.endswith("hours (log)")
        assert f">{FRONT}" in text or f"{FRONT}<" in text
    text = as_text(drawn(figure, 120, 40))
    named = [f"{number}: {words.title(point.row)}" in text for number, point in enumerate(found.front, 1)]
    assert named[0]
    assert sum(named) >= len(named) / 2


def test_without_a_length_of_the_job_steps_are_plotted_against_purchase_prices(service: Advisor) -> None:
    workload = Workload.model_validate({"model": {"name": "llama-3.1-8b"}, "method": "lora"})
    found = tradeoff(service.recommend(workload, limit=None).recommendations)
    assert not found.costed
    assert "length of the job is not given" in told(found)
    assert "time of a step and purchase price" in told(found)
    for point in found.points:
        better = [each for each in found.points if each.hours < point.hours and each.usd < point.usd]
        assert not (better and point in found.front)


def test_without_prices_or_an_answer_the_screen_says_so(ranking: RecommendAnswer) -> None:
    rows = [
        row.model_copy(update={"cost": row.cost.model_copy(update={"purchase_usd": None, "total_usd": None})})
        for row in ranking.recommendations
    ]
    found = tradeoff(rows)
    assert tradeoff_figure(found) is None
    assert told(found) == "No answer has both a time and a cost."
    assert "no answer yet" in told(None)
    assert told(found, problem=InputError("bad [/]")).startswith("! bad [/]")
    assert steps(tradeoff([])) == []


def test_the_list_points_into_the_plot_opens_and_picks(service: Advisor) -> None:
    async def steps_(app: Face, pilot: Pilot[None]) -> None:
        screen = app.shown
        assert isinstance(screen, ParetoScreen)
        await until(pilot, lambda: len(screen.table.rows) > 2)
        plot = screen.query_one(Plot)
        before = plot.text
        await pilot.press("down", "down")
        await pilot.pause()
        assert plot.text != before
        chosen = choice_of(screen.table.rows[2].key)
        assert app.desk.looking_at == chosen
        await pilot.press("enter")
        assert app.wanted == [chosen]
        await pilot.press("space")
        assert app.desk.compared == (chosen,)
        assert screen.table.current is not None
        assert text_of(screen.table.current.cells[0]) == "+"  # type: ignore[arg-type]
        await pilot.press(*["up", "space"] * 2, "end", "space", "up", "space")
        assert len(app.desk.compared) == MOST_COMPARED
        shown = screen.exported()
        assert shown is not None
        assert shown[0] is app.desk.answer

    drive(service, ParetoScreen, steps_)


def test_list_and_plot_are_beside_each_other_where_there_is_room(service: Advisor) -> None:
    async def steps_(app: Face, pilot: Pilot[None]) -> None:
        screen = app.shown
        assert isinstance(screen, ParetoScreen)
        await until(pilot, lambda: len(screen.table.rows) > 2)
        plot = screen.query_one(Plot)
        for width, height in ((80, 24), (140, 45), (110, 30), (80, 24)):
            await pilot.resize_terminal(width, height)
            await pilot.pause(0.05)
            beside = width >= 132
            assert (plot.region.y == screen.table.region.y) is beside
            assert "no room" not in plot.text
            assert screen.table.max_scroll_x == 0, "nothing of the list is cut off"
            assert screen.table.region.height >= len(screen.table.rows) + 1

    drive(service, ParetoScreen, steps_)


def test_a_new_answer_on_the_desk_is_drawn(service: Advisor) -> None:
    async def steps_(app: Face, pilot: Pilot[None]) -> None:
        before = app.told
        app.desk.question = Question("llama-3.1-8b", {"method": "lora"})
        await app.desk.answer_question()
        app.shown.post_message(DeskChanged())
        await until(pilot, lambda: app.told != before)
        assert "purchase price" in app.shown.query_one(Plot).text

    drive(service, ParetoScreen, steps_)


def test_a_new_answer_on_the_desk_is_compared(service: Advisor) -> None:
    async def steps_(app: Face, pilot: Pilot[None]) -> None:
        screen = app.shown
        assert isinstance(screen, CompareScreen)
        await until(pilot, lambda: screen.answer is not None)
        app.desk.question = Question("llama-3.1-8b", {"method": "lora", "data.tokens": "100M"})
        await app.desk.answer_question()
        app.shown.post_message(DeskChanged())
        await until(pilot, lambda: "100M" in app.told)
        assert "fits: " in screen.query_one(Fitted).text

    drive(service, CompareScreen, steps_, compared=FOUR[:2])


def test_a_wrong_question_leaves_the_comparison_of_the_earlier_one_and_says_so(service: Advisor) -> None:
    async def steps_(app: Face, pilot: Pilot[None]) -> None:
        screen = app.shown
        assert isinstance(screen, CompareScreen)
        await until(pilot, lambda: screen.answer is not None)
        app.desk.question = Question("llama-3.1-8b", {"method": "[/]"})
        await app.desk.answer_question()
        app.shown.post_message(DeskChanged())
        await until(pilot, lambda: app.told.startswith("! The question is wrong now"))
        assert screen.exported() is not None

    drive(service, CompareScreen, steps_, compared=FOUR[:2])
