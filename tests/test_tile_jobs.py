"""What the plugin does with the jobs that FiftyOne gives its workers, in an empty page."""

import pytest
from script_pages import empty_page, scripts  # noqa: F401

TWICE = """() => {
    const map = { data: new Uint8Array([1, 2, 3]), shape: [1, 3] };
    test.paint("1", "a.jpg", map);
    test.paint("2", "a.jpg", map);
    return [[...map.data], ...test.sent.map((x) => [...x.message.sample.cam.map.data])];
}"""
GONE = """async (kind) => {
    let map = { data: new Uint8Array([1, 2, 3]) };
    if (kind === "bitmap") {
        map = { bitmap: await createImageBitmap(new ImageData(1, 1)) };
        map.bitmap.close();
    } else structuredClone(map, { transfer: [map.data.buffer] });
    const label = { map_path: "a.png", map, _renderStatus: "painted" };
    const sample = { cam: label, truth: { label: "ant" }, size: 4, empty: null };
    const message = { method: "processSample", uuid: "1", sources: {}, sample };
    new Worker().postMessage(message, []);
    return [test.sent[0].message.sample, label._renderStatus];
}"""
EARLY = """() => {
    const sources = {};
    const send = (uuid, sample) => {
        const message = { method: "processSample", uuid, sources, sample, coloring: uuid };
        new Worker().postMessage(message, []);
    };
    send("0", undefined); // of which nothing is known yet
    send("1", { truth: { label: "ant" } });
    send("2", undefined); // FiftyOne, if colors changed before the first answer
    for (const uuid of ["0", "1", "2"]) test.painted(uuid);
    return test.sent.map(({ message: x }) => [x.uuid, x.coloring, x.sample?.truth.label]);
}"""
UNKNOWN = """(sources) => {
    new Worker().postMessage({ method: "processSample", uuid: "1", sources }, []);
    return test.sent.map(({ message: x }) => [x.uuid, x.sample ?? null]);
}"""
OTHER = """() => {
    const data = new Uint8Array([1, 2, 3]);
    new Worker().postMessage({ method: "decode", uuid: "1", data }, [data.buffer]);
    return [data.length, [...test.sent[0].message.data]];
}"""


def test_a_tile_with_two_jobs_at_a_time_keeps_its_pixels(scripts):  # noqa: F811
    assert scripts.page.evaluate(TWICE) == [[1, 2, 3]] * 3


@pytest.mark.parametrize("kind", ["bitmap", "buffer"])
def test_a_heatmap_without_pixels_is_read_from_its_file(scripts, kind):  # noqa: F811
    label = {"map_path": "a.png", "map": None, "_renderStatus": None}
    sample = {"cam": label, "truth": {"label": "ant"}, "size": 4, "empty": None}
    assert scripts.page.evaluate(GONE, kind) == [sample, "painted"]


def test_a_change_before_a_tile_is_painted_paints_the_sample_of_the_tile(scripts):  # noqa: F811
    assert scripts.page.evaluate(EARLY) == [
        *(["0", "0", None], ["1", "1", "ant"], ["2", "2", "ant"])
    ]


@pytest.mark.parametrize("sources", [{}, None])
def test_a_job_of_an_unknown_tile_is_left_alone(scripts, sources):  # noqa: F811
    assert scripts.page.evaluate(UNKNOWN, sources) == [["1", None]]


def test_other_messages_to_workers_are_left_alone(scripts):  # noqa: F811
    assert scripts.page.evaluate(OTHER) == [0, [1, 2, 3]]
