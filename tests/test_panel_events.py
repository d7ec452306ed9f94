"""Events that a browser sends before it has the answers to earlier ones are applied in order."""

import threading
import time
from copy import deepcopy

import fiftyone as fo
import fiftyone.operators as foo
import pydash
import pytest
from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionContext
from made_runs import make_run
from panel_contexts import context
from scored import scored_dataset

import fiftyone_gradcam as fg
from fiftyone_gradcam.app.panels import runs, server_state
from fiftyone_gradcam.app.panels.classifier import ClassifierPanel
from fiftyone_gradcam.app.panels.once import Once
from fiftyone_gradcam.app.panels.patches import catch_up, keep_answer
from fiftyone_gradcam.app.panels.tables import draw_table
from fiftyone_gradcam.app.panels.turns import Turns
from fiftyone_gradcam.app.texts import markdown, shortened
from fiftyone_gradcam.dataset.evaluation import evaluation_counts
from fiftyone_gradcam.dataset.fields import field_info


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """Twelve classes of eight images, seen by two runs, half of them in the test split."""
    folder = tmp_path_factory.mktemp("events")
    dataset = scored_dataset("events of a panel", folder, 12, 8)
    for part, ids in (("test", dataset.values("id")[::2]), ("val", dataset.values("id")[1::2])):
        dataset.select(ids).tag_samples(part)
    yield dataset
    dataset.delete()


class Browser:
    """A page with the panel: it sends events with the state that it has, and gets the answers when
    the test lets it."""

    def __init__(self, dataset, tab: str):
        self.dataset, self.panel = dataset, ClassifierPanel()
        self.state, self.drawn, self.output = {"tab": tab}, 0, {}
        self.receive(self.send("on_load"))

    def send(self, method: str, **params) -> list[dict]:
        """Send an event; returns the messages of its answer."""
        given = {"panel_id": "events", "panel_state": deepcopy(self.state), "__method__": method}
        ctx = ExecutionContext(
            request_params={"dataset_name": self.dataset.name, "params": {**given, **params}},
            executor=foo.executor.Executor(),
        )
        self.panel.execute(ctx)
        return ctx.executor.to_json()["requests"]

    def receive(self, messages: list[dict]) -> None:
        """Get an answer."""
        for message in messages:
            name = message["operator_uri"].rpartition("/")[2]
            if name == "patch_panel_state":
                for path, value in message["params"]["state"].items():
                    pydash.set_(self.state, path, value)  # as the App does with lodash
            if name == "show_panel_output":
                self.output = message["params"]["output"]["type"]["properties"]
                self.drawn += 1

    def text(self, name: str) -> str:
        """A text that the panel shows."""
        return self.output[name]["default"]

    def plot(self, name: str) -> list[dict]:
        """The traces of a plot that the panel shows."""
        return self.output[name]["view"]["data"]

    def kept(self, name: str) -> object:
        """A value that the server keeps for this page."""
        ctx = ExecutionContext(
            request_params={"params": {"panel_id": "events", "panel_state": deepcopy(self.state)}}
        )
        assert server_state.load(ctx)
        return ctx.panel_state[name]


def counted(dataset, field: str, part: str) -> str:
    """What "Evaluate" says of some predictions: how many are right."""
    counts, _ = evaluation_counts(dataset.match_tags(part), "ground_truth", field)
    right = sum(count for (label, found), count in counts.items() if label == found)
    return f"{right} of {sum(counts.values())} samples"


def test_quick_choices_are_all_applied(scored):
    browser = Browser(scored, "evaluate")
    assert counted(scored, "prediction", "test") in browser.text("evaluation_words")
    assert counted(scored, "second", "val") != counted(scored, "prediction", "val")
    answers = [
        browser.send("on_prediction_field", value="second"),
        browser.send("on_part", value="val"),
        browser.send("on_order", value="name"),
    ]
    for answer in answers:
        browser.receive(answer)
    assert counted(scored, "second", "val") in browser.text("evaluation_words")
    chosen = [browser.state[name] for name in ("prediction_field", "part", "order")]
    assert chosen == ["second", "val", "name"]
    # There and back: the second says what the browser knows, and not what was chosen since.
    answers = [browser.send("on_part", value="test"), browser.send("on_part", value="val")]
    for answer in answers:
        browser.receive(answer)
    assert browser.state["part"] == "val"
    assert counted(scored, "second", "val") in browser.text("evaluation_words")


def test_quick_choices_of_the_tab_scores(scored):
    browser = Browser(scored, "scores")
    names = scored.distinct("ground_truth.label")
    assert sorted(browser.kept("bar_classes")) == sorted(names)
    answers = [
        browser.send("on_scored", value="2"),
        browser.send("on_first", value="highest"),
        browser.send("on_threshold", value=0.25),
        browser.send("on_bar_order", value="name"),
    ]
    for answer in answers:
        browser.receive(answer)
    chosen = [browser.state[x] for x in ("scored_class", "first", "threshold", "bar_order")]
    assert chosen == ["2", "highest", 0.25, "name"]
    assert browser.kept("bar_classes") == sorted(names)
    assert "highest scores first" in browser.text("scored_words")


def test_another_class_is_drawn_without_a_change_of_the_state(scored):
    """FiftyOne asks for the page again after each change, for about a second with many samples."""
    browser = Browser(scored, "scores")
    names, drawn = field_info(scored, "prediction")["classes"], browser.drawn
    for value in ("2", "2", "4"):  # each choice is sent twice
        browser.state["scored_class"] = value  # which the browser sets itself
        before, known = deepcopy(browser.state), browser.kept("scored")
        browser.receive(browser.send("on_scored", value=value))
        assert browser.state == before
        assert browser.drawn == drawn + (known != names[int(value)])
        drawn = browser.drawn
        name = names[int(value)]
        assert f"Scores of **{markdown(shortened(name, 60))}**" in browser.text("scored_words")
        assert browser.output["histogram"]["view"]["shows"] == name
    # A click on the histogram of a class, while another one is on its way.
    shows = browser.output["histogram"]["view"]["shows"]
    browser.send("on_scored", value="2")
    own = scored.match_tags("test").match({"ground_truth.label": shows})
    best = own.sort_by("prediction_scores.4", reverse=True).first()
    place = min(19, int(best.prediction_scores[4] * 20))
    messages = browser.send("on_score_bar", trace_idx=0, idx=place, view={"shows": shows})
    (view,) = [m["params"]["view"] for m in messages if m["operator_uri"].endswith("set_view")]
    found = fo.DatasetView._build(scored, view)
    assert found.distinct("ground_truth.label") == [shows]
    assert best.id in found.values("id")


def test_a_click_means_what_is_in_sight(scored):
    browser = Browser(scored, "evaluate")
    browser.receive(browser.send("on_prediction_field", value="second"))
    before = list(browser.state["shown_classes"])
    answer = browser.send("on_order", value="name")
    assert before != sorted(before)
    row = before.index(sorted(before)[0])  # another row in the order that is not in sight yet
    assert row != 0
    messages = browser.send("on_class", row=row)
    (view,) = [m["params"]["view"] for m in messages if m["operator_uri"].endswith("set_view")]
    shown = fo.DatasetView._build(scored, view)
    assert shown.distinct("ground_truth.label") == [before[row]]
    assert not any("panel" in m["operator_uri"].rpartition("/")[2] for m in messages)
    browser.receive(answer)
    assert browser.state["shown_classes"] == sorted(before)


def test_a_click_that_chooses_a_class_does_not_undo_a_choice(scored):
    browser = Browser(scored, "scores")
    shows = browser.output["bars"]["view"]["shows"]
    label = shows[1]
    answers = [
        browser.send("on_prediction_field", value="second"),
        browser.send("on_class_bar", idx=1, trace_idx=0, view={"shows": shows}),
    ]
    for answer in answers:
        browser.receive(answer)
    assert (browser.state["prediction_field"], browser.kept("scored")) == ("second", label)
    one_by_one = Browser(scored, "scores")
    one_by_one.receive(one_by_one.send("on_prediction_field", value="second"))
    assert browser.output["bars"] == one_by_one.output["bars"]


def test_a_run_that_another_process_deletes_while_it_is_read_is_not_shown(scored, monkeypatch):
    browser = Browser(scored, "runs")
    for key in ("extra", "other"):
        make_run(scored, key, files=False)
    browser.receive(browser.send("on_refresh"))
    assert browser.kept("run_keys")[:2] == ["other", "extra"]
    described = runs.describe_runs

    def deleted_meanwhile(dataset) -> list[dict]:
        rows = described(dataset)
        if "other" in dataset.list_runs():
            dataset.delete_run("other")
        return rows

    monkeypatch.setattr(runs, "describe_runs", deleted_meanwhile)
    browser.receive(browser.send("on_show_run", value="other"))
    assert browser.kept("run_keys")[0] == browser.state["shown_run"] == "extra"
    scored.delete_run("extra")


@pytest.mark.parametrize("tab", ["jobs", "review", "runs", "evaluate", "scores"])
def test_texts_are_not_hidden_by_values_of_their_name(scored, tab):
    """FiftyOne shows what the state has under the name of a text in the place of the text."""
    browser = Browser(scored, tab)
    if tab == "review":
        browser.receive(browser.send("on_buttons"))
    if tab == "evaluate":
        browser.receive(browser.send("on_other", value="second"))
    texts = {
        name: part["default"]
        for name, part in browser.output.items()
        if (part.get("view") or {}).get("name") == "MarkdownView"
    }
    assert texts
    for name, text in texts.items():
        assert browser.state.get(name) in (None, text)


def test_pages_do_not_get_each_others_values(scored):
    one, other = Browser(scored, "evaluate"), Browser(scored, "evaluate")
    one.send("on_part", value="val")
    other.receive(other.send("on_order", value="name"))
    assert (other.state["part"], other.state["order"]) == ("test", "name")


def test_what_the_browser_has_changed_itself_stays(scored):
    """An answer that it has received says nothing new; one that it has not is not changed by it."""
    browser = Browser(scored, "evaluate")
    browser.receive(browser.send("on_part", value="val"))
    browser.state["part"] = "test"
    browser.receive(browser.send("on_refresh"))
    assert browser.state["part"] == "test"
    assert counted(scored, "prediction", "test") in browser.text("evaluation_words")
    state, sent = {"loaded_page": 1.0}, []
    for values in ({"rows": [1]}, {"other": 1}):
        ctx = context(scored, state)
        ctx.panel.set_state(values)
        keep_answer(ctx)
        sent.append(values)
    for _ in range(2):
        behind = {"loaded_page": 1.0}
        catch_up(context(scored, behind))
        assert (behind["rows"], behind["other"]) == ([1], 1)
        behind["rows"].append(2)  # in one event, and not in the next


def test_what_happens_once_is_forgotten_in_the_order_of_coming():
    once = Once(most=2)
    assert [once.first(x) for x in "aabca"] == [True, False, True, True, True]
    assert [once.first(x) for x in "cab"] == [False, False, True]


def test_long_names_of_a_table_are_in_tooltips_of_their_cells():
    panel, names = (
        types.Object(),
        [{"name": "short", "other": "1"}, {"name": "x" * 61, "other": "2"}],
    )
    draw_table(panel, "rows", {"other": "Other", "name": "Name"}, rows=names, names=("name",))
    (tooltip,) = panel.properties["rows"].view.to_json()["tooltips"]
    assert (tooltip["row"], tooltip["column"]) == (1, 1)
    names.insert(0, names[0])
    draw_table(panel, "rows", {"name": "Name"}, rows=names, names=("name",))
    (tooltip,) = panel.properties["rows"].view.to_json()["tooltips"]
    assert (tooltip["row"], tooltip["column"], tooltip["value"]) == (2, 0, "x" * 61)


def test_a_comparison_with_what_is_looked_at_stands_at_nothing(scored):
    browser = Browser(scored, "evaluate")
    browser.receive(browser.send("on_other", value="second"))
    assert any(name.startswith("compared_") for name in browser.output)
    browser.receive(browser.send("on_prediction_field", value="second"))
    assert browser.state["other"] == "none"
    assert browser.state["choices"]["other"] == "none"  # what its list shows
    assert not any(name.startswith("compared_") for name in browser.output)


def test_a_second_click_on_the_same_button_of_a_card_decides_nothing(digits, name):
    dataset = fg.import_folders(str(digits), name)
    browser = Browser(dataset, "review")
    browser.receive(browser.send("on_buttons"))
    card = browser.kept("card")
    given = {"id": card["id"], "shown": card["label"], "decision": "keep"}
    for answer in [browser.send("on_decide", **given), browser.send("on_decide", **given)]:
        browser.receive(answer)
    assert len(fg.list_reviews(dataset)) == 1
    assert browser.kept("card")["id"] != card["id"]
    browser.receive(browser.send("on_undo_review"))
    assert fg.list_reviews(dataset) == []
    assert browser.kept("card")["id"] == card["id"]
    browser.receive(browser.send("on_decide", **given))
    assert len(fg.list_reviews(dataset)) == 1


def test_turns_are_taken_in_the_order_of_coming():
    turns, done, threads = Turns(), [], []

    def take(number: int) -> None:
        with turns.turn("a"):
            done.append(number)

    with turns.turn("a"), turns.turn("b"):
        for number in range(8):
            threads.append(threading.Thread(target=take, args=(number,)))
            threads[-1].start()
            end = time.monotonic() + 30
            while len(turns._lines["a"]) < number + 2:
                assert time.monotonic() < end
                time.sleep(0.001)
        assert turns.is_taken("a")
        assert done == []
    for thread in threads:
        thread.join(30)
    assert done == list(range(8))
    assert not turns.is_taken("a")
    with pytest.raises(KeyError), turns.turn("a"):
        raise KeyError
    assert not turns.is_taken("a")


def test_nobody_waits_for_a_look_that_takes_long(scored, monkeypatch):
    browser = Browser(scored, "jobs")
    looks, may_end, answers = threading.Event(), threading.Event(), []

    def look(self, ctx) -> list:
        looks.set()
        assert may_end.wait(60)
        ctx.panel.state.earlier = [{"id": "seen late"}]
        return []

    monkeypatch.setattr(ClassifierPanel, "read_jobs", look)
    thread = threading.Thread(target=lambda: answers.append(browser.send("on_tick")))
    thread.start()
    assert looks.wait(60)
    assert browser.send("on_tick") == []  # one look at a time
    monkeypatch.setattr(ClassifierPanel, "read_jobs", lambda self, ctx: [])
    chosen = browser.send("on_tab", value="evaluate")
    may_end.set()
    thread.join(60)
    browser.receive(chosen)
    (late,) = answers
    browser.receive(late)
    assert browser.state["tab"] == "evaluate"
    assert browser.kept("earlier") == [{"id": "seen late"}]
    # What it draws is the tab that is open by then.
    (output,) = [m["params"] for m in late if m["operator_uri"].endswith("show_panel_output")]
    assert "evaluation_words" in str(output)


def test_tabs_count_nothing_that_was_counted_before(scored, monkeypatch):
    browser = Browser(scored, "jobs")
    browser.receive(browser.send("on_tick"))
    calls = []
    aggregate = type(scored._sample_collection).aggregate

    def counting(self, *args, **options):
        calls.append(args)
        return aggregate(self, *args, **options)

    monkeypatch.setattr(type(scored._sample_collection), "aggregate", counting)
    for event in ({"__method__": "on_tab", "value": "evaluate"}, {"__method__": "on_refresh"}):
        browser.receive(browser.send(event.pop("__method__"), **event))
    assert calls == []
    assert counted(scored, "prediction", "test") in browser.text("evaluation_words")
    sample = scored.first()
    sample["note"] = "changed"
    sample.save()
    browser.receive(browser.send("on_refresh"))
    assert calls != []


def test_plots_are_drawn_and_stay_out_of_the_state(scored):
    browser = Browser(scored, "scores")
    some = next(str(x) for x in range(12) if str(x) != browser.state["scored_class"])
    before = browser.plot("histogram")
    browser.receive(browser.send("on_scored", value=some))
    name = scored.distinct("ground_truth.label")[int(some)]
    bars = [trace["y"] for trace in browser.plot("histogram") if trace.get("type") == "bar"]
    own = [sum(y or 0 for y in bar) for bar in bars]
    labels = scored.match_tags("test").values("ground_truth.label")
    assert own == [labels.count(name), len(labels) - labels.count(name)]
    assert before != browser.plot("histogram")
    assert not any(
        "traces" in str(value) or "'y':" in str(value) for value in browser.state.values()
    )


def test_a_tick_that_finds_nothing_new_sends_nothing(scored):
    browser = Browser(scored, "jobs")
    for _ in range(2):  # the first finds what takes a moment, such as stale values
        browser.receive(browser.send("on_tick"))
    assert browser.send("on_tick") == []
    # Something that is only drawn does not change the state, which FiftyOne stores with the layout.
    scored.tag_samples("one more")
    names = [m["operator_uri"].rpartition("/")[2] for m in browser.send("on_tick")]
    assert names == ["show_panel_output"]
    scored.untag_samples("one more")


def test_a_page_is_read_again_after_a_restart_of_the_server(scored):
    browser = Browser(scored, "evaluate")
    shown = browser.text("evaluation_words")
    server_state._VALUES.clear()
    browser.receive(browser.send("on_order", value="name"))
    assert browser.state["order"] == "name"
    assert browser.text("evaluation_words") == shown
    assert browser.state["shown_classes"] == sorted(browser.state["shown_classes"])


def test_only_the_values_of_few_pages_are_kept(scored, monkeypatch):
    monkeypatch.setattr(server_state, "MOST_PANELS", 2)
    pages = [Browser(scored, "jobs") for _ in range(3)]
    assert len(server_state._VALUES) == 2
    assert pages[2].kept("steps")
    with pytest.raises(AssertionError):
        pages[0].kept("steps")


def test_the_page_that_was_used_longest_ago_is_forgotten(scored, monkeypatch):
    monkeypatch.setattr(server_state, "MOST_PANELS", 2)
    first, second = Browser(scored, "jobs"), Browser(scored, "jobs")
    assert first.kept("steps") == second.kept("steps")
    first.receive(first.send("on_all_actions"))
    third = Browser(scored, "jobs")
    for page in (first, third):
        assert page.kept("steps")
    with pytest.raises(AssertionError):
        second.kept("steps")
