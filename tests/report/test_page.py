"""The page: what it says, and what it does in a real browser."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest
from browser import Browser
from make_study import CLASSES, HOSTILE, LABELS, make_study

from tl_sweep.comparison.line import Line
from tl_sweep.comparison.study import Comparison, Interval, Row, Study
from tl_sweep.report.charts import charts_of
from tl_sweep.report.drawing import COLOURS, GRAY, Palette, plain
from tl_sweep.report.menus import menus_of
from tl_sweep.report.page import study_page

MOST_BYTES = 6_000_000


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Nothing here computes: torch stays unimported."""


@pytest.fixture(scope="module")
def study() -> Study:
    return make_study()


@pytest.fixture(scope="module")
def html(study: Study) -> str:
    return study_page(study)


def body_of(html: str) -> str:
    """The page without Plotly's own script."""
    return html[: html.index("<script>/**")] + html[html.rindex("</body>") :]


def data_of(html: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert found
    return json.loads(found[1])


def elements_of(html: str) -> list[tuple[str, str, str]]:
    """(tag, attribute, value) of all elements, as a browser reads them."""
    found: list[tuple[str, str, str]] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: found.extend(  # type: ignore[method-assign, assignment]
        (tag, name, value or "") for name, value in attributes or [("", "")]
    )
    parser.feed(html)
    return found


def only(row: Row, study: Study) -> Study:
    return replace(study, rows=(row,), gains=(), crossings=())


def big_study() -> Study:
    backbones = [f"backbone_with_a_long_name_{number}" for number in range(9)]
    strategies = ["none", "early", "all", "lp_ft", "gradual", "bn_only", "scratch"]
    return make_study(backbones, strategies, classes=[f"class number {k}" for k in range(40)], epochs=100)


def test_it_stays_small() -> None:
    study = big_study()
    assert len(study.rows) == 252
    assert len(study_page(study).encode()) < MOST_BYTES


def test_pictures_do_not_make_it_large(study: Study) -> None:
    def with_pictures(row: Row, number: int) -> Row:
        pictures = [f"data:image/png;base64,{'A' * 20_000}{number:03d}{place}" for place in range(len(row.mistakes))]
        return replace(row, mistakes=tuple(map(lambda m, p: replace(m, picture=p), row.mistakes, pictures)))

    rows = tuple(with_pictures(row, number) for number, row in enumerate(study.rows))
    page = study_page(replace(study, rows=rows))
    assert len(page.encode()) < MOST_BYTES
    assert 1 <= len(data_of(page)["pictures"]) < 10


def test_a_picture_is_on_the_page_once_and_is_a_data_uri(study: Study) -> None:
    row = study.rows[0]
    odd = replace(row.mistakes[0], picture="https://example.org/x.png")
    page = study_page(only(replace(row, mistakes=(odd, *row.mistakes, *row.mistakes)[:8]), study))
    assert "example.org" not in page
    assert len(data_of(page)["pictures"]) == 5


def test_nothing_is_loaded(html: str) -> None:
    body, elements = body_of(html), elements_of(html)
    links = [
        (tag, value) for tag, name, value in elements if name in ("src", "href", "srcset", "action", "poster", "data")
    ]
    assert [link for link in links if not link[1].startswith(("#", "data:"))] == [
        ("a", 'http://127.0.0.1:5000/#/compare-runs?runs=["0f3a9c","77b1de"]&experiments=["1"]')
    ]
    assert "url(" not in body
    assert "@import" not in body
    assert "default-src 'none'" in next(value for _, name, value in elements if name == "content")


def test_only_web_addresses_become_links(study: Study) -> None:
    assert "javascript:alert" not in study_page(replace(study, compare_link="javascript:alert(1)"))


def test_names_stay_text(html: str) -> None:
    body = body_of(html)
    for name in HOSTILE[:3]:
        assert name not in body
    assert {tag for tag, _, _ in elements_of(html)} & {"img", "b", "object", "iframe"} == set()
    assert not any(name.startswith("on") for _, name, _ in elements_of(html))
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in body
    assert "&lt;i&gt;c4&lt;/i&gt;" in body


def test_names_stay_text_for_plotly() -> None:
    assert plain("<b>x</b> &lt;\n y") == "&lt;b&gt;x&lt;/b&gt; &amp;lt; y"


def test_what_test_finds_better_than_the_best_is_marked_and_counts_as_leading(study: Study) -> None:
    best = next(row for row in study.rows if row.is_best)
    found = Comparison(Interval(0.05, 0.02, 0.08), 0.001, "better", "better than none (Holm's p = 0.001, 5 seeds)")
    better = replace(best, is_best=False, on_front=False, vs_best=found)
    page = study_page(replace(study, rows=(best, better, replace(better, vs_best=None)), gains=(), crossings=()))
    table = page[page.index("<tbody>") : page.index("</tbody>")]
    assert table.count("<td>&gt; best</td>") == 1
    assert table.count('class="leading"') == 2


def test_why_there_are_no_mistakes_is_said(study: Study) -> None:
    best = replace(next(row for row in study.rows if row.is_best), mistakes=())
    page = study_page(replace(study, rows=(best, replace(best, is_best=False)), gains=(), crossings=()))
    assert [row["note"] for row in data_of(page)["details"]] == [
        "No test image was wrong.",
        "Mistakes are shown of the best row of each task.",
    ]


def test_commands_for_missing_seeds_take_the_place_of_the_one_that_repeats(study: Study) -> None:
    (advice, *others) = study.recommendations
    commands = ("python -m tl_sweep.train -m freeze=none seed=3,4", "python -m tl_sweep.train -m freeze=early seed=3,4")
    page = study_page(replace(study, recommendations=(replace(advice, settle=commands), *others)))
    assert "<pre><code>" + "\n".join(commands) + "</code></pre>" in page
    assert advice.command not in page


def test_missing_values_are_dashes(study: Study) -> None:
    nothing: dict[str, Any] = {
        "selection_frequency": math.nan,
        "val_acc": math.nan,
        "macro_f1": math.nan,
        "calibration_error": math.nan,
        "inference_images_per_s": math.nan,
        "val_acc_at_budget": math.nan,
        "val_acc_at_equal_epochs": math.nan,
        "checkpoint_bytes": math.nan,
        "seconds": math.nan,
        "test_acc": Interval(0.5, math.nan, math.nan),
        "vs_baseline": None,
        "vs_best": None,
        "time_to_baseline": None,
        "diagnosis": "",
        "rates": (),
        "curve": (),
        "confusion_KK": (),
        "setting": (),
    }
    page = study_page(only(replace(study.rows[0], **nothing), study))
    table = page[page.index("<tbody>") : page.index("</tbody>")]
    assert "nan" not in table.lower()
    assert table.count(">–<") == 17
    assert {chart["name"] for chart in data_of(page)["charts"]} == {"heat", "cost"}


@pytest.mark.parametrize("missing", [math.nan, math.inf])
def test_points_without_a_value_are_gaps(study: Study, missing: float) -> None:
    row = study.rows[0]
    curve = (replace(row.curve[0], train_loss=missing), *row.curve[1:])
    page = study_page(only(replace(row, curve=curve), study))
    (curves,) = (chart for chart in data_of(page)["charts"] if chart["name"] == "curves")
    assert curves["figures"]["0|0"]["data"][0]["meta"]["train_loss"][0] is None


def test_a_study_of_nothing_is_a_page(study: Study) -> None:
    page = study_page(Study("empty", 0.01, (), (), (), (), (), (), 0))
    assert "There is nothing to recommend" in page
    assert "<table" not in body_of(page)


def test_figures_are_what_plotly_takes(study: Study) -> None:
    from plotly.graph_objects import Figure

    for chart in charts_of(study, menus_of(study)):
        for figure in chart.figures.values():
            Figure(figure)  # raises ValueError where a property does not exist


def test_scratch_of_each_panel_is_beside_the_others(study: Study) -> None:
    charts = {chart.name: chart for chart in charts_of(study, menus_of(study))}
    assert set(charts["curves"].figures) == {f"{task}|{backbone}" for task in range(4) for backbone in range(2)}
    for figure in charts["curves"].figures.values():
        assert [trace["name"] for trace in figure["data"]] == [LABELS[name] for name in ("none", "early", "scratch")]
        assert figure["data"][-1]["line"] == {"color": GRAY, "dash": "dash", "width": 3}


def test_all_labels_come_last(study: Study) -> None:
    (labels,) = (chart for chart in charts_of(study, menus_of(study)) if chart.name == "labels")
    layout = labels.figures["0|0"]["layout"]
    assert layout["xaxis"]["ticktext"] == ["5", "10", "25", "all"]
    (lead,) = layout["shapes"]
    assert 1 < lead["x1"] < 2  # 17.3 labels
    assert [note["text"] for note in layout["annotations"]] == ["the baseline needs 17"]


def drawn(strategy: str, *further: str, kind: str = "") -> Line:
    return Line(strategy, f"{strategy} (in words)", "baseline" if strategy == "scratch" else kind, further)


def test_sources_of_a_strategy_share_its_colour_and_differ_in_dash() -> None:
    poor, rich, early = drawn("none", "letters_clean"), drawn("none", "letters"), drawn("early", "letters")
    palette = Palette([poor, rich, early, drawn("scratch")])
    one, other = palette.line(poor), palette.line(rich)
    assert one["line"]["color"] == other["line"]["color"] != palette.colour(early)
    assert (one["name"], other["name"]) == ("none (in words), letters_clean", "none (in words), letters")
    assert one["line"]["dash"] != other["line"]["dash"]


def test_baselines_are_gray_whatever_they_are_called_and_come_last() -> None:
    scratch, own, none = drawn("scratch"), drawn("my own", kind="baseline"), drawn("none")
    palette = Palette([scratch, none, own])
    assert palette.colour(scratch) == palette.colour(own) == GRAY != palette.colour(none)
    assert palette.line(scratch)["line"]["dash"] != palette.line(own)["line"]["dash"]
    assert min([scratch, own, none], key=palette.order) == none


@pytest.mark.parametrize("colour", [*COLOURS, GRAY])
@pytest.mark.parametrize("paper", ["#ffffff", "#1a1f27"])
def test_lines_are_seen_in_light_and_dark(colour: str, paper: str) -> None:
    lighter, darker = sorted((luminance(colour), luminance(paper)), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) >= 3  # WCAG 1.4.11


def luminance(colour: str) -> float:
    shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


TAB, ENTER = "\ue004", "\ue007"
PHONE, DESK = (390, 844), (1300, 900)


@pytest.fixture(scope="module")
def opened(browser: Browser, html: str, tmp_path_factory: pytest.TempPathFactory) -> Browser:
    """The page of ``study``, before anybody has touched it."""
    path = tmp_path_factory.mktemp("page") / "My Verdict <1>.html"
    path.write_text(html)
    browser.size(*DESK)
    browser.log("performance")
    browser.open(path)
    return browser


@pytest.fixture
def page(opened: Browser) -> Iterator[Browser]:
    """With everything as it was when it was opened, but for the order of the rows."""
    yield opened
    opened.run("document.getElementById('filters').reset(); filters.dispatchEvent(new Event('input'))")
    opened.prefer("light")
    opened.size(*DESK)


def shown_rows(page: Browser, column: int) -> list[str]:
    """The texts of a column, of the rows that are seen: 0 is the mark, then backbone, strategy, number of labels."""
    return page.run(
        "return [...table.tBodies[0].rows].filter((row) => row.getClientRects().length)"
        ".map((row) => row.cells[arguments[0]].firstChild?.data ?? row.cells[arguments[0]].textContent)",
        column,
    )


def headings(page: Browser) -> list[str]:
    return page.run("return [...table.tHead.rows[1].cells].map((cell) => cell.innerText.replace(/ [↕↑↓]$/, '').trim())")


def choose(page: Browser, selector: str, value: str) -> None:
    page.run(
        "const field = document.querySelector(arguments[0]); field.value = arguments[1];"
        "for (const kind of ['input', 'change']) field.dispatchEvent(new Event(kind, {bubbles: true}))",
        selector,
        value,
    )


def test_it_opens_without_an_error_or_a_request(opened: Browser) -> None:
    assert opened.log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in opened.log("performance")]
    requests = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert requests
    assert [url for url in requests if not url.startswith(("file://", "data:", "blob:"))] == []


def test_every_chart_is_drawn(page: Browser) -> None:
    drawn = page.run(
        "return [...document.querySelectorAll('.plot')].map((plot) => [plot.querySelector('svg.main-svg') !== null,"
        "plot.getAttribute('role'), plot.getAttribute('aria-label').length > 20])"
    )
    assert drawn == [[True, "img", True]] * 6


def test_the_table_has_the_numbers_of_the_study(page: Browser, study: Study) -> None:
    texts = page.run(
        "return [...table.tBodies[0].rows].map((row) => [...row.cells].map((cell) => [...cell.childNodes]"
        ".map((node) => node.textContent).filter(Boolean)))"
    )
    assert len(texts) == len(study.rows)
    names = headings(page)
    found = {tuple(cell[0] for cell in row[1:4]): row for row in texts}
    for row in study.rows:
        labels = "all" if row.axes[0][1] == "null" else row.axes[0][1]
        cells = found[row.backbone, row.strategy_label, labels]
        shown = dict(zip(names, cells, strict=True))
        acc, lead = row.test_acc, row.vs_baseline
        assert shown["test accuracy, %"] == [
            f"{100 * acc.estimate:.1f}",
            f"[{100 * acc.low:.1f}, {100 * acc.high:.1f}]",
        ]
        assert shown["validation accuracy, %"] == [f"{100 * row.val_acc:.1f}"]
        assert shown["macro-F1, %"] == [f"{100 * row.macro_f1:.1f}"]
        assert shown["calibration error, %"] == ["–" if math.isnan(row.calibration_error) else "3.1"]
        assert shown["trainable parameters"] == [f"{row.trainable_parameters:,}"]
        assert shown["training time, s"] == [f"{row.seconds:.1f}"]
        assert shown["selection frequency, %"] == ["–" if math.isnan(row.selection_frequency) else "61"]
        assert shown["validation accuracy at equal time, %"] == [f"{100 * row.val_acc_at_budget:.1f}", "in 4.2 s"]
        if lead is None:
            assert shown["vs baseline, points"] == ["–"]
            continue
        assert shown["vs baseline, points"][0] == f"{100 * lead.difference.estimate:+.1f}".replace("-", "−")
        word, wording = shown["verdict vs baseline"]
        assert word.endswith(f" {lead.verdict}")
        assert wording == lead.wording


def test_the_heat_map_has_the_numbers_of_the_study(page: Browser, study: Study) -> None:
    drawn = page.run("return document.querySelector('#chart-heat .plot').data[0].z")
    first = {(row.strategy, row.backbone): row for row in study.rows if row.axes == study.rows[0].axes}
    lines = ("none", "early", "all", "scratch")
    assert drawn == [
        [pytest.approx(100 * first[line, b].test_acc.estimate, abs=0.006) for b in ("resnet18", "vgg16_bn")]
        for line in lines
    ]


@pytest.mark.parametrize("heading", ["test accuracy, %", "trainable parameters", "calibration error, %", "strategy"])
def test_sorting_sorts(page: Browser, heading: str) -> None:
    place = headings(page).index(heading)
    orders = []
    for _ in range(2):
        page.run("table.tHead.rows[1].cells[arguments[0]].querySelector('button').click()", place)
        values = [value.replace(",", "") for value in shown_rows(page, place)]
        known: list[Any] = [value for value in values if value != "–"]
        assert values[len(known) :] == ["–"] * (len(values) - len(known)), "what is missing comes last"
        known = known if heading == "strategy" else [float(value) for value in known]
        state = page.run("return table.tHead.rows[1].cells[arguments[0]].getAttribute('aria-sort')", place)
        assert known == sorted(known, reverse=state == "descending")
        assert page.run("return table.querySelectorAll('[aria-sort]:not([aria-sort=none])').length") == 1
        orders.append(state)
    assert sorted(orders) == ["ascending", "descending"]


def test_the_keyboard_sorts(page: Browser) -> None:
    page.run("document.getElementById('leading').focus()")
    page.press(TAB, TAB, TAB)  # over the table, which scrolls, to its second heading
    assert page.run("return document.activeElement.innerText") == "backbone"
    before = page.run("return document.activeElement.closest('th').getAttribute('aria-sort')")
    page.press(ENTER)
    assert page.run("return document.activeElement.closest('th').getAttribute('aria-sort')") != before
    assert page.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_the_first_tab_skips_to_the_verdict(opened: Browser) -> None:
    opened.run("document.activeElement.blur(); getSelection().removeAllRanges(); scrollTo(0, 0)")
    opened.run("document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute('tabindex')")
    opened.press(TAB)
    assert opened.run("return document.activeElement.hash") == "#verdict"
    assert opened.run("return document.activeElement.getBoundingClientRect().top >= 0")


@pytest.mark.parametrize(
    ("column", "value", "count"), [(1, "vgg16_bn", 16), (2, "scratch (from random weights)", 8), (3, "all", 8)]
)
def test_filtering_by_a_value_hides_the_others(page: Browser, column: int, value: str, count: int) -> None:
    choose(page, f"#filters [data-column='{column}']", value)
    assert shown_rows(page, column) == [value] * count
    assert page.run("return document.getElementById('count').value") == f"{count} of 32 rows"


def test_filtering_by_words_and_by_the_best(page: Browser, study: Study) -> None:
    choose(page, "#words", "VGG never")
    assert shown_rows(page, 1) == []
    choose(page, "#words", "vgg converged")
    assert shown_rows(page, 2) == ["scratch (from random weights)"] * 4
    choose(page, "#words", "")
    page.run("document.getElementById('leading').click()")
    assert len(shown_rows(page, 1)) == sum(row.is_best or row.indistinguishable for row in study.rows)


def test_charts_follow_the_selection(page: Browser, study: Study) -> None:
    choose(page, "[data-selects=task]", "3")
    choose(page, "[data-selects=backbone]", "0")
    choose(page, "#chart-curves [data-axis=y]", "val_loss")
    choose(page, "#chart-curves [data-axis=x]", "seconds")
    (row,) = (row for row in study.rows if row.label == "resnet18 · none (full fine-tuning) · data.shots=null")
    plot = page.run("const { data, layout } = document.querySelector('#chart-curves .plot'); return { data, layout }")
    assert plot["data"][0]["x"][-1] == pytest.approx(row.curve[-1].seconds, rel=1e-3)
    assert plot["data"][0]["y"][-1] == pytest.approx(row.curve[-1].val_loss, rel=1e-3)
    assert plot["layout"]["yaxis"]["title"]["text"] == "validation loss, nats"
    label = page.run("return document.querySelector('#chart-curves .plot').getAttribute('aria-label')")
    assert (
        f"trees · shots=all; resnet18; lines: {', '.join(LABELS[name] for name in ('none', 'early', 'scratch'))}"
        in label
    )


def test_a_chart_can_be_read_as_a_table(page: Browser, study: Study) -> None:
    choose(page, "[data-selects=task]", "0")
    choose(page, "[data-selects=backbone]", "0")
    page.run("document.querySelectorAll('.numbers').forEach((details) => { details.open = true; })")
    first = page.run(
        "return new Promise((done) => setTimeout(() => done([...document.querySelectorAll('.numbers')]"
        ".map((details) => [...details.querySelector('tbody tr').cells].map((cell) => cell.textContent))), 50))"
    )
    row = study.rows[0]
    assert (row.backbone, row.strategy, row.axes) == ("resnet18", "none", (("data.shots", "5"),))
    acc, rate = row.test_acc, row.rates[0]
    interval = f"{100 * acc.estimate:.1f} ({100 * acc.low:.1f} to {100 * acc.high:.1f})"
    assert [cells[0] for cells in first] == [LABELS["none"]] * 5 + [HOSTILE[0]]
    assert [float(value) for value in first[2][1:]] == [rate.lr, pytest.approx(100 * rate.val_acc, abs=0.006)]
    assert first[3][1] == "resnet18"
    assert [float(value) for value in first[3][2:]] == pytest.approx([row.seconds, 100 * acc.estimate], rel=1e-3)
    assert first[4][1:] == ["5", interval]
    assert first[5][1:] == [str(count) for count in row.confusion_KK[0]]


def test_names_are_text_wherever_they_are_shown(page: Browser) -> None:
    """An alert would fail every later command."""
    for selection in ("[data-selects=task]", "[data-selects=backbone]", "[data-selects=row]"):
        for value in page.run(f"return [...document.querySelector('{selection}').options].map((o) => o.value)"):
            choose(page, selection, value)
    ticks = page.run(
        "return [...document.querySelectorAll('#chart-confusion .ytick text')].map((text) => text.textContent)"
    )
    assert ticks == [name if len(name) <= 32 else f"{name[:31]}…" for name in CLASSES]
    assert page.run("return document.querySelectorAll('#chart-confusion .ytick tspan[style*=bold]').length") == 0
    said = page.run("return [...document.querySelectorAll('#mistakes li')].map((card) => card.textContent)")
    assert said[0] == f"{HOSTILE[1]}99.8 % sure; it is{HOSTILE[0]}train/{HOSTILE[0]}/0000.jpg"
    assert page.run("return [...document.querySelectorAll('img')].every((img) => img.src.startsWith('data:image/'))")
    assert page.run("return document.querySelectorAll('script').length") == 4
    assert page.log("browser") == []


def test_dark_is_dark(page: Browser) -> None:
    look = (
        "return [getComputedStyle(document.body).backgroundColor,"
        "getComputedStyle(document.querySelector('#chart-curves .xtick text')).fill]"
    )
    light = page.run(look)
    page.prefer("dark")
    page.run("return new Promise(requestAnimationFrame)")
    dark = page.run(look)
    assert light == ["rgb(247, 248, 250)", "rgb(29, 36, 48)"]
    assert dark == ["rgb(18, 22, 28)", "rgb(227, 231, 237)"]


def test_a_phone_scrolls_only_down(page: Browser) -> None:
    page.size(*PHONE)
    page.run("return new Promise((done) => setTimeout(done, 300))")
    assert page.run("return document.scrollingElement.scrollWidth") <= PHONE[0]
    heights = page.run("return [...document.querySelectorAll('.plot')].map((plot) => plot.clientHeight)")
    assert min(heights) > 300


def test_the_command_is_copied(page: Browser, study: Study) -> None:
    page.run("document.querySelector('button.copy').focus()")
    page.press(ENTER)  # a browser lets a page write to the clipboard when its reader did something
    page.run("return new Promise((done) => setTimeout(done, 300))")
    assert page.run("return document.getElementById('said').textContent") == "Copied"
    assert page.run("return getSelection().toString()") == study.recommendations[0].command


def test_headings_do_not_skip_a_level(page: Browser) -> None:
    levels = page.run("return [...document.querySelectorAll('h1,h2,h3,h4')].map((h) => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_every_field_has_a_label(page: Browser) -> None:
    bare = "[...document.querySelectorAll('select, input')].filter((field) => !field.labels.length)"
    assert page.run(f"return {bare}.length") == 0
