// Fits the plots of the panel to its width. Plotly only follows the window.
(function () {
  "use strict";
  const { createElement: h, useEffect, useRef } = window.React;

  function PlotSizes() {
    const own = useRef(null);
    useEffect(() => {
      let width = own.current.clientWidth;
      const observer = new ResizeObserver(() => {
        if (!own.current || own.current.clientWidth === width) return;
        width = own.current.clientWidth;
        for (const plot of document.querySelectorAll(".js-plotly-plot")) {
          if (plot._responsiveChartHandler) plot._responsiveChartHandler();
        }
      });
      observer.observe(own.current);
      return () => observer.disconnect();
    }, []);
    return h("div", { ref: own, "data-cy": "gradcam-panel", style: { width: "100%", height: 0 } });
  }

  const { registerComponent, PluginComponentType } = window.__fop__;
  registerComponent({
    name: "GradcamPlotSizes", label: "Sizes of plots", component: PlotSizes,
    type: PluginComponentType.Component, activator: () => true,
  });
})();
