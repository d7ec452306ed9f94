// What the scripts of the plugin use of the App, in an empty page: components with hooks that are
// drawn again when their state changes, operators that the test answers, values that it sets.
(function () {
  "use strict";
  const UNITLESS = new Set(["opacity", "flex", "lineHeight", "fontWeight", "zIndex", "aspectRatio", "WebkitLineClamp", "minWidth0"]);
  let own = null; // the component that is drawn now
  let place = 0; // of its next hook
  let isDue = false;
  const effects = []; // to run when everything is drawn
  const roots = [];

  function hook(make) {
    if (own.hooks.length === place) own.hooks.push(make());
    return own.hooks[place++];
  }
  const isSame = (a, b) => !!a && !!b && a.length === b.length && a.every((x, i) => Object.is(x, b[i]));

  const React = {
    createElement: (type, props, ...children) => ({ type, props: props || {}, children }),
    useRef: (first) => hook(() => ({ current: first })),
    useState(first) {
      const cell = hook(() => ({ value: typeof first === "function" ? first() : first }));
      cell.set = cell.set || ((change) => {
        const next = typeof change === "function" ? change(cell.value) : change;
        if (Object.is(next, cell.value)) return;
        cell.value = next;
        drawSoon();
      });
      return [cell.value, cell.set];
    },
    useCallback(made, needs) {
      const cell = hook(() => ({}));
      if (!isSame(cell.needs, needs)) Object.assign(cell, { made, needs });
      return cell.made;
    },
    useEffect(run, needs) {
      const cell = hook(() => ({ end: null }));
      if (isSame(cell.needs, needs)) return;
      cell.needs = needs;
      effects.push(() => {
        if (cell.end) cell.end();
        cell.end = run() || null;
      });
    },
  };

  // Drawn elements: { type, key, node, hooks, parts }.
  function drawn(element, old, number) {
    const isText = typeof element !== "object";
    const type = isText ? "#text" : element.type;
    const key = isText || element.props.key === undefined ? number : `key ${element.props.key}`;
    const it = old.find((x) => x.type === type && x.key === key) || { type, key, hooks: [], parts: [] };
    if (isText) {
      it.node = it.node || document.createTextNode("");
      if (it.node.data !== String(element)) it.node.data = String(element);
    } else if (typeof type === "function") {
      const before = [own, place];
      [own, place] = [it, 0];
      const made = type(element.props);
      [own, place] = before;
      it.parts = all([made], it.parts);
    } else {
      it.node = it.node || document.createElement(type);
      it.parts = all(element.children, it.parts);
      arrange(it.node, it.parts);
      give(it, element.props);
    }
    return it;
  }
  function all(children, old) {
    const flat = children.flat(Infinity).map((x) => (x === null || x === undefined || typeof x === "boolean" ? null : x));
    const parts = flat.map((x, n) => (x === null ? null : drawn(x, old, n))).filter(Boolean);
    old.filter((x) => !parts.includes(x)).forEach(end);
    return parts;
  }
  function end(it) {
    it.parts.forEach(end);
    if (it.ref) it.ref.current = null;
    it.hooks.forEach((cell) => cell.end && cell.end());
  }
  const nodes = (it) => (it.node ? [it.node] : it.parts.flatMap(nodes));
  function arrange(parent, parts) {
    const wanted = parts.flatMap(nodes);
    for (const x of [...parent.childNodes]) if (!wanted.includes(x)) x.remove();
    wanted.forEach((x, n) => { // what is in its place stays there, or it would lose the focus
      if (parent.childNodes[n] !== x) parent.insertBefore(x, parent.childNodes[n] || null);
    });
  }
  function give(it, props) {
    const { node } = it;
    for (const [name, value] of Object.entries(props)) {
      if (name === "key") continue;
      if (name === "ref") {
        value.current = node;
        it.ref = value;
      } else if (name === "style") {
        for (const [what, x] of Object.entries(value)) node.style[what] = typeof x === "number" && x && !UNITLESS.has(what) ? `${x}px` : x;
      } else if (/^on[A-Z]/.test(name)) {
        const event = name === "onChange" && node.tagName === "INPUT" ? "oninput" : name.toLowerCase();
        node[event] = value;
      } else if (name === "value" || name === "disabled") {
        if (node[name] !== value) node[name] = value;
      } else if (value !== undefined && value !== null && node.getAttribute(name) !== String(value)) {
        node.setAttribute(name, value);
      }
    }
  }
  function draw() {
    isDue = false;
    for (const root of roots) {
      root.parts = all(root.shown ? [root.shown()] : [], root.parts);
      arrange(root.node, root.parts);
    }
    for (const run of effects.splice(0)) run();
  }
  function drawSoon() {
    if (!isDue) queueMicrotask(draw);
    isDue = true;
  }

  // Workers: a message arrives as its copy, and what is transferred is gone; the test answers.
  const sent = [];
  window.Worker = class extends EventTarget {
    postMessage(message, transfer = []) {
      sent.push({ worker: this, message: structuredClone(message, { transfer }) });
    }
  };

  // Operators: each call waits for the test's answer.
  const calls = [];
  const components = {}, operators = {};
  class Operator {}
  class OperatorConfig {
    constructor(options) { Object.assign(this, options); }
  }
  // Values of the App, by name.
  const values = { scheme: { colorBy: "field" } };
  const one = (name) => ({ name });
  Object.assign(window, {
    React,
    recoil: { useRecoilValue: ({ name }) => values[name] },
    __foo__: {
      Operator, OperatorConfig,
      registerOperator: (type, owner) => { operators[new type().config.name] = [new type(), owner]; },
      executeOperator: (uri, params, options) => {
        calls.push({ uri, params: JSON.parse(JSON.stringify(params)), callback: options && options.callback });
      },
    },
    __fop__: {
      registerComponent: (found) => { components[found.name] = found; },
      PluginComponentType: { Component: "component", Panel: "panel" },
    },
    __fos__: {
      getSampleSrc: (path) => `/media${path}`,
      modalSampleId: one("modal"), colorScheme: one("scheme"), coloring: one("coloring"), fullscreen: one("fullscreen"),
      pathColor: (path) => one(`color of ${path}`), activeFields: () => one("active"),
      useClearModal: () => close,
      modalNavigation: { get: () => ({}) },
    },
    test: {
      components, operators, values, roots, sent,
      closed: 0,
      show(name, props) {
        const node = document.createElement("div");
        document.body.append(node);
        const { component } = components[name];
        roots.push({ node, parts: [], shown: () => React.createElement(component, props) });
        drawSoon();
      },
      hide() {
        for (const root of roots) root.shown = null;
        drawSoon();
      },
      set(changes) {
        Object.assign(values, changes);
        drawSoon();
      },
      // Gives a worker the job to paint a tile, with the pixels of its heatmap.
      paint(uuid, tile, map) {
        const sample = { cam: { map_path: `${tile}.png`, map } };
        new Worker().postMessage({ method: "processSample", uuid, sources: { filepath: tile }, sample }, map ? [map.data.buffer] : []);
      },
      painted(uuid) {
        const { worker } = sent.find((x) => x.message.uuid === uuid);
        worker.dispatchEvent(new MessageEvent("message", { data: { uuid: "another" } }));
        worker.dispatchEvent(new MessageEvent("message", { data: { uuid } }));
      },
      // The parameters of the calls of an operator that are not answered yet.
      asked: (name) => calls.filter((x) => x.uri.split("/").pop() === name && !x.isDone).map((x) => x.params),
      // Answers the first of them, or only takes note of it.
      async answer(name, result) {
        const found = calls.find((x) => x.uri.split("/").pop() === name && !x.isDone);
        found.isDone = true;
        if (found.callback && result !== undefined) found.callback({ result });
        for (let n = 0; n < 100; n++) await null;
        return found.params;
      },
    },
  });
  function close() { window.test.closed += 1; }
})();
