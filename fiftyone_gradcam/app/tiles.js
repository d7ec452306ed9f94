// Lets FiftyOne's grid change fields and colors while its tiles are painted.
//
// FiftyOne's workers decode and color the heatmaps of a tile. It transfers the pixels to the worker,
// and closes bitmaps when an answer arrives: a second job for the same tile meanwhile finds nothing
// to send. Then the tile shows an error or no heatmap, and one worker less is left. A panel that
// opens, a job that ends and a click on another heatmap all start such jobs. So pixels are copied,
// closed bitmaps are decoded again, and tiles that had two jobs at a time are loaded once more.
(function () {
  "use strict";
  const QUIET = 150; // ms without a job after which tiles count as painted; FiftyOne delays some by 100
  const LOST = 5000; // ms without an answer after which a job counts as lost
  const jobs = new Map(); // the tile of each job that a worker has, by the job's id
  let changed = 0; // when a job was last sent or answered
  let isWaiting = false; // whether tiles are to be loaded once more

  // A label without pixels is read from its file.
  function sendable(label) {
    const isClosed = (x) => x?.bitmap instanceof ImageBitmap ? !x.bitmap.width : x?.data?.buffer?.detached;
    const kind = ["map", "mask"].find((x) => isClosed(label?.[x]));
    return kind ? { ...label, [kind]: null, _renderStatus: null } : label;
  }

  const post = Worker.prototype.postMessage;
  Worker.prototype.postMessage = function (message, ...more) {
    if (message?.method !== "processSample") return post.call(this, message, ...more);
    const { uuid, sources, sample } = message;
    const copy = Object.fromEntries(Object.entries(sample).map(([name, x]) => [name, sendable(x)]));
    const isLacking = Object.keys(sample).some((name) => copy[name] !== sample[name]);
    post.call(this, { ...message, sample: copy });
    const tile = JSON.stringify(sources);
    const isSecond = [...jobs.values()].includes(tile);
    jobs.set(uuid, tile);
    changed = performance.now();
    const onAnswer = ({ data }) => {
      if (data?.uuid !== uuid) return;
      this.removeEventListener("message", onAnswer);
      jobs.delete(uuid);
      changed = performance.now();
    };
    this.addEventListener("message", onAnswer);
    if (isSecond || isLacking) loadOnceMore();
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

  function loadOnceMore() {
    if (isWaiting) return; // this is for all tiles
    isWaiting = true;
    painted().then(() => {
      isWaiting = false;
      window.__foo__.executeOperator("@voxel51/operators/reload_samples", {});
    });
  }

  window.__gradcam__.painted = painted;
})();
