// The review card: keys, pictures and buttons. Plain JavaScript with the App's globals (React,
// __foo__, __fop__, __fos__, recoil). Without this script, the Review tab shows buttons.
(function () {
  "use strict";
  const COLORS = { label: [0, 255, 255], suggestion: [255, 0, 255] };
  const LEFT_OUT = "Deletes nothing: sample, label and file stay, but are left out of splits, training, evaluation and exports. Z takes it back";
  const PAUSE = 2000; // ms after the last decision until the grid shows the labels
  const SIMILAR = 96; // pixels: width of the similar images, beside the photo
  const REVIEWED = "gradcam-reviewed"; // labels were reviewed elsewhere in the App
  const KEYS = { a: "accept", k: "keep", u: "unclear", x: "exclude" };
  const { createElement: h, useEffect, useRef, useState } = window.React;
  const { useRecoilValue } = window.recoil;
  const { source, text, lines, percent, Button, Choice, Heat, isTyping, useEscape, useReview, positionIn, isFinished, decided, hasDecision, reloadGrid } = window.__gradcam__;

  // A photo as large as the window, until a click or Escape. Decisions can be made meanwhile.
  function Enlarged({ path, words, onClose }) {
    const style = { position: "fixed", inset: 0, zIndex: 2000, background: "rgba(0,0,0,.92)", cursor: "zoom-out" };
    return h("div", { onClick: onClose, title: "Click to close", "data-cy": "gradcam-enlarged", style },
      h("img", { src: source(path), alt: "", style: { position: "absolute", inset: 0, width: "100%", height: "100%", objectFit: "contain" } }),
      h("div", { style: text(16, { position: "absolute", left: 12, bottom: 12, padding: "2px 8px", background: "rgba(0,0,0,.75)", color: "#fff" }) }, words));
  }

  // What is known of a card, and its keys, in one line: for the enlarged photo, which hides both.
  function lineOf(card) {
    const isSuggested = card.suggestion && card.suggestion !== card.label;
    const sure = card.suggestion_confidence != null ? ` ${percent(card.suggestion_confidence)}` : "";
    return [
      `Label: ${card.label}`, isSuggested && `Suggested: ${card.suggestion}${sure}`,
      card.decision && `Decided: ${decided(card)}`,
      [isSuggested && `A accept ${card.suggestion}`, `K keep ${card.label}`, "U unclear", "X exclude", "Z undo", "Esc close"].filter(Boolean).join(", "),
    ].filter(Boolean).join(" · ");
  }

  function Picture({ card, shown, height, onEnlarge }) {
    const one = shown === "none" ? null : card.maps[card[shown]];
    const peaks = Object.values(card.maps).map((x) => x.peak || 0);
    const most = Math.max(...peaks, 0);
    const scale = one && most > 0 && peaks.length > 1 ? (one.peak || 0) / most : 1;
    const [sides, setSides] = useState(null);
    const ratio = sides ? sides[0] / sides[1] : 1;
    // The area has the same size for photos of all shapes, so that the buttons below stay in place.
    const area = { display: "flex", alignItems: "center", justifyContent: "center", width: "100%", height };
    const style = { position: "relative", aspectRatio: String(ratio), width: `min(100%, calc(${height} * ${ratio}))` };
    return h("div", { style: area, "data-cy": "gradcam-area" }, h("div", { style: { ...style, cursor: "zoom-in" }, title: "Click to enlarge", onClick: onEnlarge },
      h("img", {
        src: source(card.path), alt: "", "data-cy": "gradcam-image",
        onLoad: (e) => setSides([e.target.naturalWidth, e.target.naturalHeight]),
        style: { position: "absolute", inset: 0, width: "100%", height: "100%", objectFit: "contain", imageRendering: sides && sides[0] < 100 ? "pixelated" : "auto" },
      }),
      one && h(Heat, {
        key: one.path, address: source(one.path), drawn: one.path, version: scale,
        paint: (value) => [...COLORS[shown], value * scale * 0.75],
      })));
  }

  // The most similar images in a column as high as the photo, each with its label.
  function Similar({ neighbors, height, onEnlarge }) {
    const gap = 4;
    const style = { flex: `0 0 ${SIMILAR}px`, height, display: "flex", flexDirection: "column", gap };
    return h("div", { style }, h("div", { style: text(12, { opacity: 0.75 }) }, "Most similar"),
      neighbors.map((x) => h("figure", { key: x.id, title: `${x.label}: click to enlarge`, onClick: () => onEnlarge(x), "data-cy": "gradcam-neighbor", style: { cursor: "zoom-in", margin: 0, flex: "1 1 0", minHeight: 0, position: "relative" } },
        h("img", { src: source(x.path), alt: "", style: { width: "100%", height: "100%", objectFit: "cover", borderRadius: 2 } }),
        h("figcaption", {
          style: text(12, { position: "absolute", left: 0, bottom: 0, maxWidth: "100%", boxSizing: "border-box", padding: "0 4px", overflow: "hidden", textOverflow: "ellipsis", whiteSpace: "nowrap", background: "rgba(0,0,0,.75)", color: "#fff" }),
        }, x.label))));
  }

  // Click the tab "Steps" of the panel that an element is in.
  function openSteps(element) {
    for (let box = element; box; box = box.parentElement) {
      const tab = [...box.querySelectorAll("[role=tab]")].find((x) => x.textContent.trim() === "Steps");
      if (tab) return tab.click();
    }
    return undefined;
  }

  // The grid below an open sample shows new labels once the sample is closed: loading the dataset
  // again would close it.
  let isWaiting = false;
  const changedInModal = new Set(); // ids of samples whose other tabs show the label before
  function reloadAfterModal(id) {
    changedInModal.add(id);
    if (isWaiting) return;
    isWaiting = true;
    const timer = setInterval(() => {
      if (document.querySelector("[data-cy=modal]")) return;
      clearInterval(timer);
      isWaiting = false;
      changedInModal.clear();
      reloadGrid();
    }, 200);
  }

  function Card({ modalId, size }) {
    const review = useReview(modalId);
    const { state, shown } = review;
    const [find, setFind] = useState(null);
    const [goesOn, setGoesOn] = useState(false); // to labels that are not suspicious
    const [large, setLarge] = useState(null); // the image that is enlarged
    const box = useRef(null);
    const root = useRef(null);
    const isFiltered = Object.values(review.filters).some((x) => x !== null && x !== undefined);
    const next = state.cards[state.place];
    const isOver = !modalId && !goesOn && !isFiltered && isFinished(state) && !(next && next.suspicious);
    const card = isOver ? undefined : next;
    const classes = state.choices ? state.choices.classes : [];
    const fits = find === null ? [] : classes.filter((x) => x.toLowerCase().includes(find.toLowerCase()));
    const latest = useRef({});
    latest.current = { review, classes, find, isOver, large };

    const choose = (label, isNew) => {
      setFind(null);
      if (card && label === card.label) return review.decide("keep");
      review.decide("relabel", label, isNew);
    };
    latest.current.choose = choose;

    useEffect(() => {
      const onKey = (e) => {
        if (e.ctrlKey || e.metaKey || e.altKey || e.defaultPrevented && e.key !== "Escape") return;
        if (isTyping(e.target) || !root.current || !root.current.offsetParent) return;
        const modal = document.querySelector("[data-cy=modal]");
        if (document.querySelector(".MuiDialog-root")) return;
        if (modal ? !modal.contains(root.current) : !!modalId) return;
        const { review: r, classes: names, choose: pick, isOver: over } = latest.current;
        const key = e.key.length === 1 ? e.key.toLowerCase() : e.key;
        if (over && !["z", "ArrowLeft"].includes(key)) return; // no label is shown to decide on
        const act = KEYS[key] ? () => r.decide(KEYS[key])
          : key === "z" ? r.undo
          : key === "h" ? r.heat
          : key === "Escape" && latest.current.large ? () => setLarge(null)
          : key === "/" || key === "c" ? () => setFind("")
          : /^[0-9]$/.test(key) && names[(Number(key) + 9) % 10] ? () => pick(names[(Number(key) + 9) % 10])
          : !modalId && key === "ArrowRight" ? () => r.move(1)
          : !modalId && key === "ArrowLeft" ? () => r.move(-1)
          : !modalId && key === "f" ? r.toFirst
          : null;
        if (!act) return;
        e.preventDefault();
        e.stopImmediatePropagation();
        if (!e.repeat || key.startsWith("Arrow")) act(); // holding a key decides only once
      };
      window.addEventListener("keydown", onKey, true);
      return () => window.removeEventListener("keydown", onKey, true);
    }, [modalId]);
    // The grid shows the labels as they are now when the reviewer pauses, or leaves the card.
    const behind = useRef(false);
    const [isBehind, setIsBehind] = useState(false);
    useEffect(() => {
      if (!(state.stored || state.undone)) return undefined;
      if (modalId) {
        reloadAfterModal(modalId);
        setIsBehind(true); // draws the card again, which says so
        return undefined;
      }
      behind.current = true;
      setIsBehind(true);
      const timer = setTimeout(() => { behind.current = false; setIsBehind(false); reloadGrid(); }, PAUSE);
      return () => clearTimeout(timer);
    }, [modalId, state.stored, state.undone]);
    useEffect(() => () => { if (behind.current) reloadGrid(); }, []);
    useEffect(() => { if (find === "" && box.current) box.current.focus(); }, [find]);
    useEffect(() => {
      const load = () => review.load(true);
      window.addEventListener(REVIEWED, load);
      return () => window.removeEventListener(REVIEWED, load);
    }, [review.load]);

    const has = (decision) => hasDecision(card, decision);
    const p = state.progress || {};
    const choices = state.choices || { classes: [], kinds: [], pairs: [] };
    const set = (change) => review.setFilters({ ...review.filters, ...change });
    const pair = review.filters.label && review.filters.suggestion
      ? JSON.stringify([review.filters.label, review.filters.suggestion]) : "";
    const names = state.field && p.checked && [state.field, "issue", "suggested_label", "label_quality"];
    const note = state.note && h("div", { style: text(14, { margin: "4px 0" }) }, state.note);
    return h("div", { ref: root, "data-cy": "gradcam-review", style: { width: "100%", padding: 4, boxSizing: "border-box" } },
      h("div", { style: text(14, { fontWeight: 600, marginBottom: 6 }), "data-cy": "gradcam-progress", "data-stored": state.stored || 0 }, p.words || ""),
      isOver && h("div", { role: "status", "data-cy": "gradcam-finished", style: text(16, { margin: "10px 0", padding: "10px 12px", borderLeft: "3px solid #30a46c", background: "rgba(128,128,128,.12)" }) },
        p.finished ? `${p.finished}.` : "All suspicious labels are reviewed.",
        h("div", { style: { display: "flex", gap: 6, flexWrap: "wrap", marginTop: 8 } },
          h(Button, { label: "Go to Steps", strong: true, hint: "Steps has the button for what comes next", onClick: () => openSteps(root.current), name: "gradcam-steps" }),
          p.others_left > 0 && h(Button, {
            label: `Review the other ${p.others_left} label${p.others_left === 1 ? "" : "s"} too`, hint: "Nothing speaks against them",
            onClick: () => { setGoesOn(true); review.toFirst(); }, name: "gradcam-others",
          }))),
      p.left && card && !modalId && h("div", { "data-cy": "gradcam-left", style: text(14, { margin: "4px 0" }) }, p.left),
      state.error && h("div", { role: "alert", "data-cy": "gradcam-error", style: text(14, { color: "#e5484d", margin: "4px 0" }) }, state.error),
      !card && note,
      !state.choices && !state.error && h("div", { role: "status", "data-cy": "gradcam-loading", style: text(15, { padding: 16 }) },
        modalId ? "Loading this label…" : "Loading the labels to review…"),
      !card && !isOver && state.choices && h("div", { "data-cy": state.rest ? "gradcam-loading" : "gradcam-empty", style: text(15, { padding: 16 }) },
        state.rest ? "Loading the next labels…"
          : !isFiltered ? "Nothing is left to review here. Z takes the last decision back; Refresh loads the queue again."
          : h("span", null, "No label that is left to review matches the filters below. ",
            h(Button, { label: "Clear filters", onClick: () => review.setFilters({}), name: "gradcam-clear" }))),
      card && large && h(Enlarged, { ...(large === "photo" ? { path: card.path, words: lineOf(card) } : { path: large.path, words: large.label }), onClose: () => setLarge(null) }),
      card && h("div", null,
        h("div", { style: { display: "flex", gap: "4px 12px", flexWrap: "wrap", alignItems: "flex-start" } },
          h("div", { style: { flex: "3 1 240px", minWidth: 0, maxWidth: size.width } }, h(Picture, { key: card.id, card, shown, height: size.height, onEnlarge: () => setLarge("photo") })),
          card.neighbors.length > 0 && h(Similar, { neighbors: card.neighbors, height: size.height, onEnlarge: setLarge }),
          h("div", { style: { flex: "1 1 180px", minWidth: 0, minHeight: 100 } },
            h("div", { style: text(13, { opacity: 0.75 }), "data-cy": "gradcam-name" },
              card.path.split(/[\\/]/).pop(), !modalId && !card.done ? ` · ${positionIn(state, isFiltered)}` : ""),
            h("div", { style: { display: "flex", gap: "0 16px", flexWrap: "wrap" } },
              h("div", { title: card.label, style: text(18, lines(2)) }, "Label: ", h("b", { "data-cy": "gradcam-label" }, card.label)),
              card.suggestion && card.suggestion !== card.label && h("div", { title: card.suggestion, style: text(18, lines(2)) }, "Suggested: ",
                h("b", { "data-cy": "gradcam-suggestion" }, card.suggestion),
                card.suggestion_confidence != null && ` ${percent(card.suggestion_confidence)}`)),
            card.decision && h("div", { style: text(14, { color: "#30a46c" }), "data-cy": "gradcam-decision" }, `Decided: ${decided(card)}`),
            modalId && changedInModal.has(modalId) && h("div", { style: text(13), "data-cy": "gradcam-later" }, "The tab Sample and the grid show the label as it is now once this sample is closed."),
            card.evidence && h("div", { title: card.evidence, style: text(14, { margin: "6px 0", ...lines(8) }), "data-cy": "gradcam-evidence" },
              card.decision ? `Before the decision: ${card.evidence}` : card.evidence),
            card.predicted && h("div", { style: text(14, { margin: "6px 0" }), "data-cy": "gradcam-predicted" }, card.predicted),
            shown !== "none" && h("div", { style: text(13), "data-cy": "gradcam-shown" },
              h("span", { "data-cy": "gradcam-shown-color", style: { display: "inline-block", width: 30, height: 10, borderRadius: 2, marginRight: 6, border: "1px solid rgba(128,128,128,.5)", background: `linear-gradient(90deg, transparent, rgb(${COLORS[shown]}))` } }),
              `Heatmap of the ${shown}: ${card[shown]}. The stronger the color, the more evidence.`))),
        h("div", { style: { display: "flex", gap: 6, flexWrap: "wrap", marginTop: 8 } },
          h(Button, { label: card.suggestion ? `Accept ${card.suggestion}` : "Accept", mark: "A", strong: !!card.suggestion && !card.decision, disabled: !card.suggestion || has("accept"), onClick: () => review.decide("accept"), name: "gradcam-accept" }),
          h(Button, { label: `Keep ${card.label}`, mark: "K", disabled: has("keep"), onClick: () => review.decide("keep"), name: "gradcam-keep" }),
          h(Button, { label: "Unclear", mark: "U", hint: LEFT_OUT, disabled: has("unclear"), onClick: () => review.decide("unclear"), name: "gradcam-unclear" }),
          h(Button, { label: "Exclude", mark: "X", hint: LEFT_OUT, disabled: has("exclude"), onClick: () => review.decide("exclude"), name: "gradcam-exclude" }),
          h(Button, { label: "Heatmap", mark: "H", onClick: review.heat, name: "gradcam-heatmap" }))),
      h("div", { style: { display: "flex", gap: 6, flexWrap: "wrap", marginTop: 6 } },
        h(Button, { label: "Undo", mark: "Z", onClick: review.undo, name: "gradcam-undo" }),
        !modalId && h(Button, { label: "Back", mark: "←", onClick: () => review.move(-1), disabled: !state.place, name: "gradcam-back" }),
        !modalId && h(Button, { label: "Next", mark: "→", onClick: () => review.move(1), disabled: !card, name: "gradcam-next" }),
        !modalId && h(Button, { label: "First unreviewed", mark: "F", hint: "Go to the first label that is not reviewed", onClick: review.toFirst, disabled: isOver || !state.cards.length, name: "gradcam-first" }),
        h(Button, { label: "Refresh", hint: "Load the labels again, here and in the grid", onClick: () => { review.load(true); reloadGrid(); }, name: "gradcam-refresh" }),
        // It keeps its room, so that the buttons stay where they are.
        !modalId && h("span", { role: "status", "data-cy": "gradcam-behind", title: `Tiles show the labels before your decisions until ${PAUSE / 1000} s after the last one`, style: text(12, { alignSelf: "center", flex: "1 1 0", minWidth: 0, overflow: "hidden", textOverflow: "ellipsis", whiteSpace: "nowrap", visibility: isBehind ? "visible" : "hidden" }) },
          `The grid follows in ${PAUSE / 1000} s`)),
      card && h("div", { style: { display: "flex", gap: 6, flexWrap: "wrap", marginTop: 6, alignItems: "center" } },
        classes.slice(0, 10).map((name, i) => h(Button, { key: name, mark: String((i + 1) % 10), label: name, disabled: name === card.label, onClick: () => choose(name), name: `gradcam-class-${i + 1}` })),
        find === null
          ? h(Button, { label: classes.length > 10 ? `Other of ${classes.length} classes` : "Other class", mark: "C", onClick: () => setFind(""), name: "gradcam-find" })
          : h("span", { style: { position: "relative" } },
            h("input", {
              ref: box, value: find, placeholder: "Type a class", "data-cy": "gradcam-find-box", maxLength: 200,
              onChange: (e) => setFind(e.target.value),
              onKeyDown: (e) => {
                e.stopPropagation();
                if (e.key === "Escape") setFind(null);
                if (e.key === "Enter" && find.trim()) choose(classes.includes(find) ? find : fits[0] || find.trim(), !fits.length);
              },
              style: { padding: "5px 8px", fontSize: 14, width: 180 },
            }),
            fits.slice(0, 6).map((name) => h(Button, { key: name, label: name, onClick: () => choose(name), name: "gradcam-found" })),
            find.trim() && !classes.includes(find.trim()) && h(Button, { label: `Add the class ${find.trim()}`, onClick: () => choose(find.trim(), true), name: "gradcam-new" }))),
      card && note, // below the buttons, which stay where they are
      !modalId && h("div", { style: { display: "flex", gap: 6, flexWrap: "wrap", marginTop: 8 } },
        choices.kinds.length > 0 && h(Choice, {
          label: "All kinds of issues", name: "gradcam-kind", value: review.filters.kind,
          options: choices.kinds.map((x) => [x, x]), onChange: (kind) => set({ kind }),
        }),
        h(Choice, {
          label: "All classes", name: "gradcam-class", value: pair ? "" : review.filters.label,
          options: choices.classes.map((x) => [x, x]), onChange: (label) => set({ label, suggestion: null }),
        }),
        choices.pairs.length > 0 && h(Choice, {
          label: "All pairs of classes", name: "gradcam-pair", value: pair,
          options: choices.pairs.map(([a, b, n]) => [JSON.stringify([a, b]), `${a} → ${b} (${n})`]),
          onChange: (x) => { const [label, suggestion] = x ? JSON.parse(x) : [null, null]; set({ label, suggestion }); },
        }),
        h(Choice, {
          label: "Any quality", name: "gradcam-below", value: review.filters.below ? String(review.filters.below) : "",
          options: [0.05, 0.1, 0.25, 0.5].map((x) => [String(x), `Quality below ${x}`]),
          onChange: (x) => set({ below: x ? Number(x) : null }),
        })),
      names && !modalId && h("div", { "data-cy": "gradcam-legend-chips", style: text(12, { opacity: 0.7, marginTop: 8 }) },
        `The words on the images have the colors of their fields in the sidebar: ${names[0]} is the label, and ${names[1]} what may be wrong. There you can also turn on ${names[2]}, a more probable class, and ${names[3]}, from 0, suspicious, to 1.`,
        h("div", { style: { marginTop: 4 } }, "Unclear and Exclude delete nothing: sample, label and file stay, but are left out of splits, training, evaluation and exports.")));
  }

  // The button that replaces this card is only for an App that does not draw it.
  function ReviewCard() {
    useEffect(() => {
      const style = document.createElement("style");
      style.textContent = ".gradcam-without-card { display: none }";
      document.head.append(style);
      return () => style.remove();
    }, []);
    return h(Card, { size: { width: 480, height: "min(300px, 26vh)" } });
  }

  function ReviewInModal() {
    const id = useRecoilValue(window.__fos__.modalSampleId);
    const root = useRef(null);
    useEscape(root);
    return h("div", { ref: root, style: { width: "100%" } },
      h(Card, { key: id, modalId: id, size: { width: 640, height: "min(420px, 45vh)" } }));
  }

  class ReloadReview extends window.__foo__.Operator {
    get config() {
      return new window.__foo__.OperatorConfig({ name: "reload_review", label: "reload_review", unlisted: true });
    }
    async execute() {
      window.dispatchEvent(new Event(REVIEWED));
    }
  }

  window.__foo__.registerOperator(ReloadReview, "@gradcam/classifier");
  const { registerComponent, PluginComponentType } = window.__fop__;
  registerComponent({
    name: "GradcamReviewCard", label: "Review", component: ReviewCard,
    type: PluginComponentType.Component, activator: () => true,
  });
  registerComponent({
    name: "GradcamReviewModal", label: "Review the label", component: ReviewInModal,
    type: PluginComponentType.Panel, activator: () => true,
    panelOptions: { surfaces: "modal", allowDuplicates: false },
  });
})();
