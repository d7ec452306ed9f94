// Lets FiftyOne's grid change fields and colors while its tiles are painted.
//
// FiftyOne's workers decode and color the heatmaps of a tile. It transfers the pixels to the worker,
// and closes bitmaps when an answer arrives: a second job for the same tile meanwhile finds nothing
// to send. Then the tile shows an error or no heatmap, and one worker less is left. A panel that
// opens, a job that ends and a click on another heatmap all start such jobs. So pixels are copied, and
// closed bitmaps are decoded again. A change before the first answer comes in a job without a sample:
// it is given that of the tile's first job.
(function () {
  "use strict";
  const QUIET = 150; // ms without a job after which tiles count as painted; FiftyOne delays some by 100
  const LOST = 5000; // ms without an answer after which a job counts as lost
  const jobs = new Set(); // the ids of the jobs that workers have
  const firsts = new WeakMap(); // the first sample of each tile, by the tile's `sources`
  let changed = 0; // when a job was last sent or answered

  // A label without pixels is read from its file.
  function sendable(label) {
    const isClosed = (x) => x?.bitmap instanceof ImageBitmap ? !x.bitmap.width : x?.data?.buffer?.detached;
    const kind = ["map", "mask"].find((x) => isClosed(label?.[x]));
    return kind ? { ...label, [kind]: null, _renderStatus: null } : label;
  }

  const post = Worker.prototype.postMessage;
  Worker.prototype.postMessage = function (message, ...more) {
    if (message?.method !== "processSample") return post.call(this, message, ...more);
    const { uuid, sources } = message;
    if (sources && message.sample && !firsts.has(sources)) firsts.set(sources, message.sample);
    const sample = message.sample ?? firsts.get(sources);
    if (!sample) return post.call(this, message, ...more);
    const copy = Object.fromEntries(Object.entries(sample).map(([name, x]) => [name, sendable(x)]));
    post.call(this, { ...message, sample: copy });
    jobs.add(uuid);
    changed = performance.now();
    const onAnswer = ({ data }) => {
      if (data?.uuid !== uuid) return;
      this.removeEventListener("message", onAnswer);
      jobs.delete(uuid);
      changed = performance.now();
    };
    this.addEventListener("message", onAnswer);
  };

  // Resolves when the tiles are painted.
  function painted() {
    return new Promise((resolve) => {
      (function look() {
        const quiet = performance.now() - changed;
        if (quiet >= LOST) jobs.clear();
        if (!jobs.size && quiet >= QUIET) resolve();
        else setTimeout(look, 20);
      })();
    });
  }

  window.__gradcam__.painted = painted;
})();
