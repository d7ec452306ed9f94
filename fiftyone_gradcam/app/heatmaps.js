// The row of the panel that switches the heatmaps of the grid, and explains the colors that the App
// currently uses.
(function () {
  "use strict";
  const { createElement: h, useRef } = window.React;
  const { useRecoilValue } = window.recoil;
  const { call, painted, text, buttonStyle, Choice } = window.__gradcam__;
  const MOST_BUTTONS = 5; // more choices are shown as a list

  // Clicks are applied in order; a click that was followed by another one is skipped.
  let clicks = 0;
  let applied = Promise.resolve();
  function inTurn(apply) {
    const own = ++clicks;
    applied = applied.then(painted).then(() => own === clicks && apply()).catch(console.error);
  }

  function Swatch({ path, words, isByValue }) {
    const color = useRecoilValue(window.__fos__.pathColor(path));
    const scale = useRecoilValue(window.__fos__.coloring).scale || [];
    const most = Math.max(1, ...scale.flat());
    const steps = isByValue && scale.length
      ? scale.filter((_, i) => i % 16 === 0).map((x) => `rgb(${x.map((y) => (most > 1 ? y : 255 * y)).join()})`)
      : ["transparent", color];
    return h("div", {
      "data-cy": "gradcam-legend", "data-path": path, "data-color": isByValue ? "scale" : color,
      style: { display: "flex", gap: 8, alignItems: "center", ...text(12) },
    },
      h("span", { style: { flex: "0 0 40px", height: 12, borderRadius: 2, border: "1px solid rgba(128,128,128,.5)", background: `linear-gradient(90deg, ${steps})` } }),
      h("span", null, words));
  }

  function Row({ schema }) {
    const choices = (schema && schema.view && schema.view.choices) || [];
    const active = useRecoilValue(window.__fos__.activeFields({ modal: false }));
    const shown = choices.filter((x) => x.paths.some((path) => active.includes(path)));
    const isByValue = useRecoilValue(window.__fos__.colorScheme).colorBy === "value";
    const now = useRef(active);
    now.current = active;
    const show = (choice) => inTurn(() => {
      const maps = choices.flatMap((x) => x.paths);
      const wanted = choice ? choice.paths : [];
      const fields = [...now.current.filter((x) => !maps.includes(x)), ...wanted];
      if (fields.length === now.current.length && fields.every((x) => now.current.includes(x))) return null;
      window.__foo__.executeOperator("@voxel51/operators/set_active_fields", { fields });
      return call("show_heatmap", { path: choice ? choice.paths[0] : "" }); // stored for the next time
    });
    const button = (choice) => {
      const isOn = choice ? shown.includes(choice) : !shown.length;
      const label = choice ? choice.label : "None";
      return h("button", {
        key: label, onClick: () => show(choice), "aria-pressed": isOn, title: label,
        "data-cy": `gradcam-show-${choice ? choice.paths[0] : "none"}`, style: { ...buttonStyle(isOn), padding: "2px 8px" },
      }, label);
    };
    return h("div", { "data-cy": "gradcam-heatmaps", style: { padding: "2px 4px", width: "100%" } },
      h("div", { style: { display: "flex", gap: 6, flexWrap: "wrap", alignItems: "center" } },
        h("span", { style: text(14) }, "Heatmaps"),
        choices.length <= MOST_BUTTONS ? [...choices.map(button), button(null)] : h(Choice, {
          label: "None", name: "gradcam-show", value: shown.length ? shown[0].paths[0] : "",
          options: choices.map((x) => [x.paths[0], x.label]),
          onChange: (path) => show(choices.find((x) => x.paths[0] === path)),
        })),
      shown.map((choice) => h("div", { key: choice.paths[0], style: { display: "flex", flexWrap: "wrap", columnGap: 8, rowGap: 2, marginTop: 4, alignItems: "center" } },
        choice.paths.map((path, i) => active.includes(path)
          && h(Swatch, { key: path, path, words: choice.words[i], isByValue })),
        h("span", { "data-cy": "gradcam-strength", style: text(12, { opacity: 0.75 }) },
          isByValue ? "From left to right in the bar: from least to most." : choice.strength))));
  }

  const { registerComponent, PluginComponentType } = window.__fop__;
  registerComponent({
    name: "GradcamHeatmaps", label: "Heatmaps", component: Row,
    type: PluginComponentType.Component, activator: () => true,
  });
})();
