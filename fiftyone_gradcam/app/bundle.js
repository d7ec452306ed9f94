// The script of this plugin that FiftyOne loads. It loads the other scripts in order.
(function () {
  "use strict";
  // FiftyOne draws the submit button of a form in gray, like its cancel button, and does not close
  // the menu from which a form was opened.
  const style = document.createElement("style");
  style.textContent = `[role=dialog]:has([data-gradcam-form]) [aria-label="split button"]
    > button:first-of-type:not(:disabled) {
      background: var(--fo-palette-primary-main); color: #fff; font-weight: bold }
    body:has([data-gradcam-form]) [data-cy=fo-grid-actions] [anchor] { display: none }
    @keyframes gradcam-late { from { visibility: hidden } }`; // of words that a short wait needs not
  document.head.appendChild(style);
  // Links to files in the panel open beside the App: FiftyOne would open them in its place.
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.('a[href^="/media?filepath="]');
    if (link) Object.assign(link, { target: "_blank", rel: "noopener" });
  }, true);
  const SCRIPTS = ["shared.js", "tiles.js", "review_queue.js", "review.js", "why.js", "heatmaps.js", "imports.js", "plots.js", "forms.js"];
  const missing = ["React", "__foo__", "__fop__", "__fos__", "recoil"].filter((x) => !window[x]);
  if (missing.length) {
    console.warn(`Grad-CAM classifier: this FiftyOne has no ${missing}: review by buttons, no "Why?"`);
    return;
  }
  const own = document.currentScript.src;
  for (const name of SCRIPTS) {
    const script = document.createElement("script");
    const address = new URL(name, own);
    address.search = `v=${Date.now()}`; // prevents caching of an earlier version
    script.src = address.href;
    script.async = false; // execute the scripts in order
    script.onerror = () => console.error(`Grad-CAM classifier: ${address.href} cannot be loaded`);
    document.head.appendChild(script);
  }
})();
