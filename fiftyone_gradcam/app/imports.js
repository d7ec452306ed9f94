// A box that shows an import, from its start to what has come of it. It lies beside the App's own
// page: an App without a dataset has no place for a panel, and its messages are lost when it opens
// the new dataset.
(function () {
  "use strict";
  const { call } = window.__gradcam__;
  const { Operator, OperatorConfig, registerOperator } = window.__foo__;
  const OWNER = "@gradcam/classifier";
  const KEPT = "gradcam-import"; // the import that a page that is loaded again follows
  const BELOW_FORMS = 1200; // z-index: the box must not hide the button of a form
  const READ = 3000; // ms; whoever clicks elsewhere after them has read the outcome
  const STAYS = 8000; // ms until the outcome of an import goes away, unless the pointer is on it
  const PLACE = 1500; // ms from one look for the panel to the next
  const LOOKS = 20; // how often to look for it
  const STEADY = 3; // a panel that was there so often in turn stays
  const LOOK = 500; // ms from one look at the job to the next
  const COLORS = { completed: "#2e7d32", failed: "#c62828", lost: "#c62828", cancelled: "#ef6c00" };
  let current = null;

  function make(tag, style, text) {
    const element = document.createElement(tag);
    Object.assign(element.style, style);
    if (text) element.textContent = text; // never HTML: names of folders and classes may be any
    return element;
  }

  function button(label, strong, onClick) {
    const own = make("button", {
      padding: "5px 12px", borderRadius: "4px", cursor: "pointer", font: "inherit", whiteSpace: "nowrap",
      border: `1px solid ${strong ? "#ff6d04" : "rgba(128,128,128,.6)"}`, flex: "none",
      background: strong ? "#ff6d04" : "transparent", color: strong ? "#fff" : "inherit",
    }, label);
    own.onclick = onClick;
    return own;
  }

  function isFormOpen() {
    return [...document.querySelectorAll("[role=dialog], [data-cy=operators-prompt-modal]")].some((x) => x.offsetParent || x.getClientRects().length);
  }

  // The box, which is drawn again with each look.
  function draw(box, words, message, share, buttons, color) {
    box.replaceChildren();
    box.style.borderLeft = `6px solid ${color || "#ff6d04"}`;
    const text = make("div", { flex: "1 1 auto", minWidth: 0, overflowWrap: "anywhere" });
    text.append(make("div", { fontWeight: "bold" }, words), make("div", {}, message));
    if (share !== null) {
      const bar = make("div", { height: "4px", marginTop: "6px", borderRadius: "2px", background: "rgba(128,128,128,.35)" });
      bar.append(make("div", { height: "4px", borderRadius: "2px", width: `${100 * share}%`, background: "#ff6d04" }));
      text.append(bar);
    }
    box.append(text, ...buttons);
  }

  async function follow(job) {
    if (current) current.remove();
    const box = current = make("div", {
      position: "fixed", left: "50%", bottom: "24px", transform: "translateX(-50%)", zIndex: BELOW_FORMS,
      width: "min(680px, calc(100vw - 48px))", boxSizing: "border-box", display: "flex", gap: "12px",
      alignItems: "center", padding: "12px 16px", borderRadius: "4px", fontSize: "14px", lineHeight: "1.35",
      background: "var(--fo-palette-background-level1, #333)", color: "var(--fo-palette-text-primary, #fff)",
      boxShadow: "0 4px 24px rgba(0,0,0,.5)", fontFamily: "var(--fo-fontFamily-body, sans-serif)",
    });
    box.dataset.cy = "gradcam-import";
    box.setAttribute("role", "status");
    document.body.append(box);
    sessionStorage.setItem(KEPT, job);
    const isShown = () => current === box;
    const close = () => {
      box.remove();
      if (isShown()) current = null;
    };
    const cancel = button("Cancel", false, () => {
      cancel.disabled = true;
      cancel.textContent = "Canceling";
      cancel.style.opacity = 0.5;
      call("cancel_import", { job });
    });
    draw(box, "Import", "Starting", 0, [cancel]);
    let found = null;
    while (isShown()) {
      found = await call("import_state", { job });
      if (!isShown()) return;
      if (found.has_ended || !found.state) break; // its end, or there is no such job any more
      const left = found.left ? ` · about ${found.left} left` : "";
      const buttons = found.state === "cancelling" ? [] : [cancel];
      draw(box, `${found.label} · ${Math.round(100 * found.progress)}%${left}`, found.message || "Starting", found.progress, buttons);
      await new Promise((resolve) => setTimeout(resolve, LOOK));
    }
    sessionStorage.removeItem(KEPT);
    if (!isShown()) return;
    box.dataset.state = found.state || "gone";
    finish(box, job, found, close);
  }

  // What to do about an import that did not complete: as in the panel, one that failed would fail
  // again with the same values, and one that was canceled or killed continues where it ended.
  function again(found, close) {
    if (found.state === "failed" && found.form) {
      const change = () => {
        close();
        const asked = { operator_uri: `${OWNER}/${found.verb}`, params: found.form };
        window.__foo__.executeOperator("@voxel51/operators/prompt_user_for_operation", asked);
      };
      return [button("Change and run again", true, change)];
    }
    if (found.state === "failed" || !found.can_repeat) return [];
    const resume = button("Resume", true, async () => {
      resume.disabled = true;
      const { id } = await call("repeat_import", { job: found.id });
      if (id) follow(id);
    });
    return [resume];
  }

  // Closes the box by itself, or when the person goes on to work: it lies over the lowest tiles.
  function closeAtWork(box, close) {
    const leave = () => (box.matches(":hover") ? setTimeout(leave, LOOK) : close());
    setTimeout(leave, STAYS);
    setTimeout(() => {
      const listen = (event) => {
        if (box.contains(event.target)) return;
        document.removeEventListener("pointerdown", listen, true);
        close();
      };
      document.addEventListener("pointerdown", listen, true);
    }, READ);
  }

  // Opens the panel of this plugin when the page of a dataset is drawn. Until then, the App cannot
  // open panels, or discards them, and does not report it: look until the panel stays.
  async function openPanel() {
    let stays = 0;
    for (let n = 0; n < LOOKS && stays < STEADY; n++) {
      await new Promise((resolve) => setTimeout(resolve, PLACE));
      if (!document.querySelector("[data-cy=new-panel-btn]")) continue;
      stays = document.querySelector("[data-cy=gradcam-panel]") ? stays + 1 : 0;
      const asked = { name: "classifier", isActive: true, layout: "horizontal" };
      if (!stays) window.__foo__.executeOperator("@voxel51/operators/open_panel", asked);
    }
  }

  // Says what has come of an import, and opens the dataset. A form that is open is about another
  // one: it stays, and the person opens the new dataset later.
  async function finish(box, job, found, close) {
    const words = found.label ? `${found.label} · ${found.state_word}` : "Import";
    const show = (buttons, more) =>
      draw(box, words, `${found.message || found.error || ""}${more || ""}`, null, buttons, COLORS[found.state]);
    const closing = button("Close", false, close);
    if (found.state !== "completed" || !found.dataset) return show([...again(found, close), closing]);
    const open = () => {
      show([closing]);
      closeAtWork(box, close);
      window.__foo__.executeOperator(`${OWNER}/follow_job`, { job }, { callback: openPanel });
    };
    // The form of the import itself may close a moment after a short import has ended.
    for (let n = 0; n < 4 && isFormOpen(); n++) await new Promise((resolve) => setTimeout(resolve, LOOK));
    if (!isFormOpen()) return open();
    const opening = button("Open the dataset", true, open);
    show([closing], ". It can be opened when the form is closed");
    const timer = setInterval(() => {
      if (!box.isConnected) clearInterval(timer);
      else if (!isFormOpen()) {
        clearInterval(timer);
        show([opening, closing]);
      }
    }, LOOK);
  }

  class ShowImport extends Operator {
    get config() {
      return new OperatorConfig({ name: "show_import", label: "show_import", unlisted: true });
    }
    async execute(ctx) {
      follow(ctx.params.job);
    }
  }

  registerOperator(ShowImport, OWNER);
  const kept = sessionStorage.getItem(KEPT);
  if (kept) follow(kept);
})();
