// Fits the plots of the panel to its width, because Plotly only follows the window, and scrolls the
// panel to its top when it shows something there.
(function () {
  "use strict";
  const { createElement: h, useEffect, useRef } = window.React;

  let lastTop = 0; // a panel that is drawn again has scrolled already

  function PlotSizes({ schema }) {
    const own = useRef(null);
    const top = (schema && schema.view && schema.view.top) || 0;
    useEffect(() => {
      if (!top || top === lastTop) return;
      lastTop = top;
      for (let x = own.current.parentElement; x; x = x.parentElement) x.scrollTop = 0;
    }, [top]);
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
