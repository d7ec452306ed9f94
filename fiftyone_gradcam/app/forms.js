// FiftyOne gives the focus to each field that appears in a form. In a form of this plugin, whoever is
// typing keeps it: other fields appear while a folder is typed.
(function () {
  "use strict";
  const TYPING = 10000; // ms after the last letter in which the focus is kept
  const CHOSEN = 500; // ms after a click or Tab in which the focus may move
  let typed = 0, chosen = 0;
  const isText = (x) => x.matches && x.matches("textarea, input:not([type=checkbox], [type=radio])");
  document.addEventListener("input", (e) => { if (isText(e.target)) typed = Date.now(); }, true);
  document.addEventListener("pointerdown", () => { chosen = Date.now(); }, true);
  document.addEventListener("keydown", (e) => { if (e.key === "Tab") chosen = Date.now(); }, true);
  document.addEventListener("focusin", (e) => {
    const from = e.relatedTarget, now = Date.now();
    const form = from && isText(from) && from.closest("[role=dialog]");
    if (!form || !form.contains(e.target) || !form.querySelector("[data-gradcam-form]")) return;
    if (now - typed < TYPING && now - chosen > CHOSEN) from.focus(); // at once, or a letter is lost
  }, true);
})();
