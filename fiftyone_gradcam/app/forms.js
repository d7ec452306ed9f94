// FiftyOne gives the focus to each field that appears in a form. In a form of this plugin, whoever is
// typing keeps it: other fields appear while a folder is typed. A form that begins with an empty text
// field gives it the focus.
(function () {
  "use strict";
  const TYPING = 10000; // ms after the last letter in which the focus is kept
  const FIELDS = "input, textarea, button", FIELD = "[data-gradcam-form]";
  const known = new WeakSet(); // fields that did not appear just now
  const opened = new WeakSet(); // forms that are not new
  let typed = 0, isGiving = false;
  const isText = (x) => x.matches && x.matches("textarea, input:not([type=checkbox], [type=radio])");
  const note = () => {
    for (const form of document.querySelectorAll("[role=dialog]")) {
      form.querySelectorAll(FIELDS).forEach((x) => known.add(x));
      const first = !opened.has(form) && form.querySelector(FIELD);
      if (!first) continue;
      opened.add(form);
      const field = [...first.querySelectorAll(FIELDS)].find(isText);
      if (field && !field.value && !isText(document.activeElement)) field.focus();
    }
  };
  // It is called after FiftyOne has given the focus to a field that has just appeared.
  new MutationObserver(note).observe(document.body, { childList: true, subtree: true });
  document.addEventListener("input", (e) => { if (isText(e.target)) typed = Date.now(); }, true);
  document.addEventListener("focusin", (e) => {
    const from = e.relatedTarget;
    if (isGiving || known.has(e.target) || !e.target.matches(FIELDS) || Date.now() - typed > TYPING) return;
    const form = from && isText(from) && from.closest("[role=dialog]");
    if (!form || !form.contains(e.target) || !form.querySelector(FIELD)) return;
    isGiving = true;
    from.focus(); // at once, or a letter is lost
    isGiving = false;
  }, true);
})();
