// What the colors of the grid's heatmaps mean, in the colors that the App paints with now.
(function () {
  "use strict";
  const { createElement: h } = window.React;
  const { useRecoilValue } = window.recoil;
  const { text } = window.__gradcam__;

  function Swatch({ path, words }) {
    const color = useRecoilValue(window.__fos__.pathColor(path));
    const by = useRecoilValue(window.__fos__.colorScheme).colorBy;
    const scale = useRecoilValue(window.__fos__.coloring).scale || [];
    const steps = by === "value" && scale.length
      ? scale.filter((_, i) => i % 16 === 0).map((x) => `rgb(${x.map((y) => (scale.flat().some((z) => z > 1) ? y : 255 * y)).join()})`)
      : ["transparent", color];
    return h("div", { "data-cy": "gradcam-legend", "data-color": color, style: { display: "flex", gap: 8, alignItems: "center", ...text(13) } },
      h("span", { style: { flex: "0 0 72px", height: 12, borderRadius: 2, border: "1px solid rgba(128,128,128,.5)", background: `linear-gradient(90deg, ${steps})` } }),
      h("span", null, words));
  }

  function Legend({ schema }) {
    const known = (schema && schema.view && schema.view.heatmaps) || [];
    const active = useRecoilValue(window.__fos__.activeFields({ modal: false }));
    const shown = known.filter((x) => active.includes(x.path));
    return h("div", { style: { padding: "2px 4px" } },
      shown.length ? shown.map((x) => h(Swatch, { key: x.path, ...x })) : h("div", { style: text(13, { opacity: 0.75 }) }, "No heatmap is shown."));
  }

  const { registerComponent, PluginComponentType } = window.__fop__;
  registerComponent({
    name: "GradcamLegend", label: "Heatmaps", component: Legend,
    type: PluginComponentType.Component, activator: () => true,
  });
})();
