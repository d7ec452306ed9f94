// "Why?": the panel of the sample modal that explains the prediction for the open image.
// The server computes the explanation; this script draws it.
(function () {
  "use strict";
  const { createElement: h, useEffect, useRef, useState } = window.React;
  const { useRecoilValue } = window.recoil;
  const { call, source, text, percent, buttonStyle, Button, Choice, Heat, useEscape } = window.__gradcam__;
  const SLOW_MILLISECONDS = 1200; // after this, the network is probably not in memory yet
  // The heatmap shown over the image: "predicted", "label", "contrast", "none", or a class.
  const ofClass = (name) => `class:${name}`; // prefixed, because a class may be called "none"
  const nameIn = (mode) => (mode.startsWith("class:") ? mode.slice(6) : null);

  // matplotlib's jet.
  function between(x, ...points) {
    for (let i = 1; i < points.length; i++) {
      const [[x0, y0], [x1, y1]] = [points[i - 1], points[i]];
      if (x <= x1) return 255 * (y0 + (y1 - y0) * (x - x0) / (x1 - x0));
    }
    return 255 * points[points.length - 1][1];
  }
  const JET = Array.from({ length: 256 }, (_, i) => {
    const x = i / 255;
    return [
      between(x, [0, 0], [0.35, 0], [0.66, 1], [0.89, 1], [1, 0.5]),
      between(x, [0, 0], [0.125, 0], [0.375, 1], [0.64, 1], [0.91, 0], [1, 0]),
      between(x, [0, 0.5], [0.11, 1], [0.34, 1], [0.65, 0], [1, 0]),
    ];
  });
  const jet = (value) => [...JET[value], value ? 255 : 0]; // transparent where the heatmap is 0
  const inOne = (color) => (value) => [...color, value];
  const rgb = (color, alpha = 1) => `rgba(${color.join()},${alpha})`;
  const parts = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)); // of "#rrggbb"

  // The user's choices are kept for the next sample and the next modal.
  const kept = { mode: "predicted", opacity: 0.5, field: null };

  function useExplanation(id, asked) {
    const [state, setState] = useState({ found: null, error: "", missing: "", isBusy: false, isSlow: false });
    const [tries, setTries] = useState(0);
    const turn = useRef(0);
    const key = JSON.stringify([id, asked, tries]);
    useEffect(() => {
      if (!id) return;
      const own = ++turn.current;
      const set = (change) => own === turn.current && setState((old) => ({ ...old, ...change }));
      set({ isBusy: true, isSlow: false });
      const slow = setTimeout(() => set({ isSlow: true }), SLOW_MILLISECONDS);
      call("explain_sample", { id, ...asked }).then((answer) => {
        clearTimeout(slow);
        const { error = "", missing = "" } = answer; // missing: there is no classifier yet
        set({ isBusy: false, isSlow: false, error, missing, found: error || missing ? null : answer });
      });
      return () => clearTimeout(slow);
    }, [key]);
    return { ...state, askAgain: () => setTries((old) => old + 1) };
  }

  // Pictures over the image, in drawing order.
  function layers(found, mode) {
    if (mode === "none") return [];
    if (mode === "contrast") {
      const { own, against, colors } = found.contrast;
      const [first, second] = colors.map(parts);
      return [[own, "for", inOne(first)], [against, "against", inOne(second)]];
    }
    const one = found.maps.find((x) => x.label === nameIn(mode));
    return one ? [[one.picture, one.label, jet]] : [];
  }

  function Outline({ box }) {
    const [left, top, right, bottom] = box.map((x) => 100 * Math.min(Math.max(x, 0), 1));
    if (left < 0.3 && top < 0.3 && right > 99.7 && bottom > 99.7) return null;
    const style = {
      position: "absolute", left: `${left}%`, top: `${top}%`, width: `${right - left}%`,
      height: `${bottom - top}%`, boxSizing: "border-box", border: "2px dashed #fff",
      outline: "1px solid rgba(0,0,0,.6)", boxShadow: "0 0 0 9999px rgba(0,0,0,.45)",
    };
    return h("div", { style, "data-cy": "gradcam-outline", title: "What the network saw of the image" });
  }

  // Words over the image while a heatmap is computed or drawn.
  function waitingWords(found, mode, waitsFor, drawn) {
    if (waitsFor !== null) return `Computing the heatmap${waitsFor && ` of '${waitsFor}'`}…`;
    const names = layers(found, mode).map(([, name]) => `${found.id} ${name}`);
    return names.some((name) => !drawn.includes(name)) ? "Drawing the heatmap…" : "";
  }

  // Words over the image where a heatmap shows nothing, or next to nothing.
  function emptyWords(found, mode) {
    const one = found.maps.find((x) => x.label === nameIn(mode));
    if (!one || one.evidence === "some") return "";
    if (one.evidence === "none") return `No evidence for '${one.label}' in this image`;
    return `Little evidence for '${one.label}' in this image`;
  }

  function Picture({ found, mode, opacity, waitsFor }) {
    const [drawn, setDrawn] = useState([]);
    const waiting = waitingWords(found, mode, waitsFor, drawn);
    const words = waiting || emptyWords(found, mode);
    const ratio = found.width / found.height;
    const style = {
      position: "relative", overflow: "hidden", aspectRatio: `${ratio}`, margin: "0 auto",
      width: `min(100%, calc(58vh * ${ratio}))`, background: "#000",
    };
    const isTwo = mode === "contrast"; // one color needs more opacity over the image
    return h("div", { style },
      h("img", {
        src: source(found.path), alt: "", "data-cy": "gradcam-why-image",
        style: { width: "100%", height: "100%", display: "block", imageRendering: found.width < 100 ? "pixelated" : "auto" },
      }),
      layers(found, mode).map(([address, name, paint]) => h(Heat, {
        key: name, address, drawn: `${found.id} ${name}`, version: name, paint,
        opacity: isTwo ? Math.min(1, 1.6 * opacity) : opacity,
        onDrawn: (one) => setDrawn((old) => [...old.filter((x) => x !== one), one]),
      })),
      h(Outline, { box: found.box }),
      words && h("div", {
        role: "status", "data-cy": "gradcam-why-state",
        style: text(14, { position: "absolute", left: 0, right: 0, bottom: 0, padding: "6px 10px", background: "rgba(0,0,0,.75)", color: "#fff", textAlign: "center", ...(waiting && { animation: "gradcam-late 0s 250ms both" }) }),
      }, words));
  }

  function Legend({ found, mode }) {
    const isByValue = useRecoilValue(window.__fos__.colorScheme).colorBy === "value"; // the grid too
    const bar = (background) => h("span", {
      style: { display: "inline-block", width: 90, height: 10, borderRadius: 2, background, verticalAlign: "middle", margin: "0 6px" },
    });
    const line = { style: text(13, { margin: "4px 0", opacity: 0.85 }), "data-cy": "gradcam-why-legend" };
    if (mode === "none") return h("div", line, "The image without a heatmap");
    if (mode === "contrast") {
      const { label, other, colors } = found.contrast;
      return h("div", line,
        h("span", null, bar(colors[0]), `speaks for ${label}, against ${other}`), h("br"),
        h("span", null, bar(colors[1]), `speaks for ${other}, against ${label}`), h("br"),
        "The stronger the color, the more evidence.");
    }
    const colors = [0, 32, 64, 96, 128, 160, 192, 224, 255].map((i) => rgb(JET[i]));
    return h("div", line, "No evidence", bar(`linear-gradient(90deg, ${colors})`), `most evidence for ${nameIn(mode)}`,
      found.maps.length > 1 ? " · one scale for all classes" : "", h("br"),
      "Colors: jet, red = most evidence.",
      isByValue ? "" : " In the grid, a heatmap has one color: the stronger the color, the more evidence.");
  }

  // Where the evidence of the heatmap is that is shown.
  function Where({ found, mode }) {
    const one = found.maps.find((x) => x.label === nameIn(mode));
    return h("div", { "data-cy": "gradcam-why-where", style: text(14, { margin: "6px 0" }) },
      one && one.words.map((x) => h("div", { key: x }, x)));
  }

  function Bars({ found, mode, onPick }) {
    return h("div", { "data-cy": "gradcam-why-bars" }, found.bars.map(({ label, probability }) => {
      const isLabel = label === found.label, isShown = mode === ofClass(label);
      return h("button", {
        key: label, onClick: () => onPick(label), "data-cy": "gradcam-why-bar", tabIndex: -1,
        title: `Show the heatmap of ${label}`, "aria-pressed": isShown,
        style: {
          display: "block", width: "100%", textAlign: "left", cursor: "pointer", color: "inherit",
          border: `1px solid ${isShown ? "#ff6d04" : "transparent"}`, borderRadius: 4, padding: "2px 6px",
          background: "transparent", marginBottom: 2,
        },
      },
        h("div", { style: { display: "flex", justifyContent: "space-between", gap: 8, ...text(14) } },
          h("span", null, label, isLabel && h("i", { style: { opacity: 0.7 } }, "  label")),
          h("b", null, percent(probability))),
        h("div", { style: { height: 6, borderRadius: 3, background: "rgba(128,128,128,.25)" } },
          h("div", { style: { height: 6, borderRadius: 3, width: `${100 * probability}%`, background: isLabel ? "#30a46c" : "#ff6d04" } })));
    }));
  }

  function Neighbors({ found }) {
    if (!found.neighbors.length) {
      const why = "No features of this network are kept: predict again, or find label issues.";
      return h("div", { style: text(13, { opacity: 0.75, marginTop: 8 }) }, `Similar images: ${why}`);
    }
    const open = (id) => window.__foo__.executeOperator("@voxel51/operators/open_sample", { id });
    return h("div", { style: { marginTop: 10 } },
      h("div", { style: text(13, { opacity: 0.75 }) }, `Most similar ${found.neighbors_are} to this network; a click opens one`),
      h("div", { style: { display: "grid", gridTemplateColumns: "repeat(auto-fill, minmax(88px, 1fr))", gap: 6, marginTop: 4 } },
        found.neighbors.map((x) => h("button", {
          key: x.id, onClick: () => open(x.id), "data-cy": "gradcam-why-neighbor", tabIndex: -1, title: x.path.split(/[\\/]/).pop(),
          style: { padding: 0, border: 0, background: "transparent", color: "inherit", cursor: "pointer", textAlign: "left" },
        },
          h("img", { src: source(x.path), alt: "", style: { width: "100%", height: 72, objectFit: "cover", display: "block", borderRadius: 3 } }),
          h("span", { style: text(12, { color: x.label === found.label ? "inherit" : "#ff6d04" }) }, x.label || "no label")))));
  }

  function Modes({ found, mode, set }) {
    const { predicted, label, contrast } = found;
    const choices = found.maps.map(({ label: name }) => [ofClass(name),
      name === predicted ? `${name} (predicted)` : name === label ? `${name} (label)` : name,
      name === predicted ? "predicted" : name === label ? "label" : "other"]);
    if (contrast) choices.push(["contrast", `${contrast.label} or ${contrast.other}?`, "contrast"]);
    choices.push(["none", "No heatmap", "none"]);
    return h("div", { style: { display: "flex", gap: 6, flexWrap: "wrap" } }, choices.map(([value, words, name]) => h("button", {
      key: value, onClick: () => set(value), "data-cy": `gradcam-why-${name}`,
      "aria-pressed": mode === value, title: words, tabIndex: -1, style: buttonStyle(mode === value),
    }, words)));
  }

  function Why({ id }) {
    const [picked, setPicked] = useState(null); // a class other than the predicted class and the label
    const [mode, setMode] = useState(kept.mode);
    const [opacity, setOpacity] = useState(kept.opacity);
    const [field, setField] = useState(kept.field);
    const asked = { ...(picked && { classes: [picked] }), ...(field && { prediction_field: field }) };
    const { found, error, missing, isBusy, isSlow, askAgain } = useExplanation(id, asked);
    const has = (name) => found.maps.some((x) => x.label === name);
    const choose = (value) => {
      const name = nameIn(value);
      // Kept as "predicted" or "label", because the next sample has other classes.
      const word = name === null ? value
        : name === found.predicted ? "predicted" : name === found.label ? "label" : value;
      kept.mode = nameIn(word) === null ? word : "predicted";
      setMode(word);
      if (nameIn(word) !== null && !has(name)) setPicked(name);
    };
    const resolve = () => {
      if (mode === "none" || (mode === "contrast" && found.contrast)) return mode;
      const name = mode === "label" ? found.label : nameIn(mode);
      return ofClass(has(name) ? name : found.predicted);
    };
    const resolved = found ? resolve() : "none";
    // The class whose heatmap is asked for; empty for that of another image, null for none.
    const picking = found && found.id === id && picked !== null && !has(picked) ? picked : "";
    const waitsFor = isBusy && resolved !== "none" ? picking : null;
    const waits = isBusy && h("span", { role: "status", "data-cy": "gradcam-why-busy", style: text(13, { opacity: 0.75 }) },
      isSlow ? " Loading the network. This takes some seconds the first time…" : " Asking the network…");
    const others = found ? found.classes.filter((x) => !found.bars.some((y) => y.label === x)) : [];
    return h("div", { "data-cy": "gradcam-why", "data-of": found && !isBusy ? found.id : "", style: { width: "100%", height: "100%", overflow: "auto", padding: 10, boxSizing: "border-box" } },
      error && h("div", { role: "alert", "data-cy": "gradcam-why-error", style: text(15, { color: "#e5484d", padding: 8 }) }, error),
      missing && h("div", { role: "status", "data-cy": "gradcam-why-missing", style: text(15, { padding: 8, maxWidth: 640 }) },
        h("p", { style: { margin: "0 0 10px" } }, missing),
        h(Button, { label: "Look again", onClick: askAgain, name: "gradcam-why-again" })),
      !found && waits,
      found && h("div", { style: { display: "flex", gap: 16, flexWrap: "wrap", opacity: isBusy && found.id !== id ? 0.5 : 1 } },
        h("div", { style: { flex: "3 1 380px", minWidth: 0 } },
          h(Modes, { found, mode: resolved, set: choose }),
          h("div", { style: { display: "flex", gap: 8, alignItems: "center", margin: "6px 0", ...text(13) } },
            h("label", { style: { display: "flex", gap: 8, alignItems: "center" } }, "Opacity",
              h("input", {
                type: "range", min: 0, max: 1, step: 0.01, value: opacity, "data-cy": "gradcam-why-opacity",
                onChange: (e) => { kept.opacity = Number(e.target.value); setOpacity(kept.opacity); },
                onPointerUp: (e) => e.target.blur(), // so that the arrow keys control the modal
                style: { width: 160, accentColor: "#ff6d04" },
              }), `${Math.round(100 * opacity)}%`),
            waits),
          h(Picture, { key: found.id, found, mode: resolved, opacity, waitsFor }),
          h(Legend, { found, mode: resolved }),
          h(Where, { found, mode: resolved })),
        h("div", { style: { flex: "2 1 260px", minWidth: 0 } },
          h("div", { style: text(15), "data-cy": "gradcam-why-labels" },
            h("div", null, `${found.prediction_field}: `, h("b", null, found.predicted)),
            h("div", null, `${found.label_field}: `, h("b", null, found.label || "no label"))),
          h("div", { style: { margin: "8px 0" } }, h(Bars, { found, mode: waitsFor ? ofClass(waitsFor) : resolved, onPick: (name) => choose(ofClass(name)) })),
          others.length > 0 && h(Choice, { label: `Heatmap of another of ${found.classes.length} classes`, name: "gradcam-why-class", value: "", options: others.map((x) => [x, x]), onChange: (x) => x && choose(ofClass(x)) }),
          h("ul", { style: { paddingLeft: 18, listStyle: "disc", margin: "8px 0", ...text(14) }, "data-cy": "gradcam-why-words" },
            found.words.map((x) => h("li", { key: x, style: { marginBottom: 4 } }, x))),
          found.notes.map((x) => h("div", { key: x, role: "note", style: text(14, { color: "#ff6d04" }) }, x)),
          h(Neighbors, { found }),
          h("div", { style: text(12, { opacity: 0.6, marginTop: 8 }) }, `Heatmaps: ${found.method}, computed in layer '${found.layer}' of the network '${found.run}'`),
          found.prediction_fields.length > 1 && h(Choice, {
            label: "Predictions", name: "gradcam-why-field", value: found.prediction_field,
            options: found.prediction_fields.map((x) => [x, `explains ${x}`]),
            onChange: (x) => { kept.field = x; setField(x); setPicked(null); setMode("predicted"); },
          }))));
  }

  function WhyInModal() {
    const root = useRef(null);
    useEscape(root);
    return h("div", { ref: root, style: { width: "100%", height: "100%" } },
      h(Why, { id: useRecoilValue(window.__fos__.modalSampleId) }));
  }

  const { registerComponent, PluginComponentType } = window.__fop__;
  registerComponent({
    name: "GradcamWhyModal", label: "Why?", component: WhyInModal,
    type: PluginComponentType.Panel, activator: () => true,
    panelOptions: { surfaces: "modal", allowDuplicates: false },
  });
})();
