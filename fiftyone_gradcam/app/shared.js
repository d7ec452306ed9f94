// Functions that the scripts of this plugin share: calls of the server, pictures, and controls.
(function () {
  "use strict";
  const OWNER = "@gradcam/classifier";
  const CLOSED_MILLISECONDS = 150; // time in which FiftyOne closes its modal
  const { createElement: h, useEffect, useRef } = window.React;

  function call(name, params) {
    return new Promise((resolve) => {
      window.__foo__.executeOperator(`${OWNER}/${name}`, params, {
        callback: (found) => {
          const answer = found && found.result ? found.result : {};
          const error = (found && (found.errorMessage || found.error)) || answer.error;
          resolve(error ? { ...answer, error: String(error) } : answer);
        },
      });
    });
  }

  function source(path) {
    return window.__fos__.getSampleSrc(path);
  }

  // A heatmap over an image, drawn from a gray picture. `paint` returns the color and opacity
  // (0 to 255) for each of the 256 gray values; `version` changes when `paint` does. `onDrawn` is
  // called with `drawn` after drawing.
  function Heat({ address, drawn, version, paint, opacity = 1, onDrawn }) {
    const canvas = useRef(null);
    useEffect(() => {
      let gone = false;
      const image = new Image();
      image.onload = () => {
        if (gone || !canvas.current) return;
        const { width, height } = image;
        canvas.current.width = width;
        canvas.current.height = height;
        const pen = canvas.current.getContext("2d");
        pen.drawImage(image, 0, 0);
        const pixels = pen.getImageData(0, 0, width, height);
        for (let i = 0; i < pixels.data.length; i += 4) pixels.data.set(paint(pixels.data[i]), i);
        pen.putImageData(pixels, 0, 0);
        canvas.current.dataset.drawn = drawn;
        if (onDrawn) onDrawn(drawn);
      };
      image.src = address;
      return () => { gone = true; };
    }, [address, version]);
    const style = { position: "absolute", inset: 0, width: "100%", height: "100%", opacity };
    return h("canvas", { ref: canvas, style, "data-cy": "gradcam-heat" });
  }

  const text = (size, more) => ({ fontSize: size, lineHeight: 1.35, overflowWrap: "anywhere", ...more });
  // At most so many lines; the rest is cut off, so that long names do not push buttons out of sight.
  const lines = (most) => ({ display: "-webkit-box", WebkitBoxOrient: "vertical", WebkitLineClamp: most, overflow: "hidden" });
  const percent = (share) => `${(100 * share).toFixed(1)}%`; // as everywhere in the panel
  const buttonStyle = (strong) => ({
    padding: "5px 10px", borderRadius: 4, cursor: "pointer", fontSize: 14, maxWidth: 260,
    overflow: "hidden", textOverflow: "ellipsis", whiteSpace: "nowrap",
    border: `1px solid ${strong ? "#ff6d04" : "rgba(128,128,128,.5)"}`,
    background: strong ? "#ff6d04" : "transparent", color: strong ? "#fff" : "inherit",
  });

  function Button({ label, mark, hint, onClick, strong, disabled, name }) {
    return h("button", {
      onClick, disabled, title: hint || label, "data-cy": name, tabIndex: -1,
      style: { ...buttonStyle(strong), opacity: disabled ? 0.4 : 1 },
    }, mark && h("b", { style: { marginRight: 6 } }, mark), label);
  }

  function Choice({ label, value, options, onChange, name }) {
    return h("select", {
      value: value || "", "data-cy": name, "aria-label": label,
      onChange: (e) => { onChange(e.target.value || null); e.target.blur(); },
      style: { ...buttonStyle(false), background: "var(--fo-palette-background-level2, #eee)", color: "inherit" },
    }, h("option", { value: "" }, label), ...options.map(([v, shown]) => h("option", { key: v, value: v }, shown)));
  }

  function isTyping(target) {
    return target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName);
  }

  // FiftyOne lets its own picture of the sample handle Escape once it was shown. This picture may no
  // longer exist while a panel of this plugin is shown, so the modal is closed here.
  function useEscape(root) {
    const close = window.__fos__.useClearModal();
    const isFull = window.recoil.useRecoilValue(window.__fos__.fullscreen); // Escape leaves fullscreen first
    useEffect(() => {
      const isSeen = () => root.current && root.current.offsetParent;
      const onKey = (e) => {
        if (e.key !== "Escape" || isFull || isTyping(e.target) || !isSeen()) return;
        if (document.querySelector(".MuiDialog-root, .MuiPopover-root")) return;
        setTimeout(() => isSeen() && close(), CLOSED_MILLISECONDS);
      };
      window.addEventListener("keydown", onKey, true);
      return () => window.removeEventListener("keydown", onKey, true);
    }, [close, isFull]);
  }

  window.__gradcam__ = { call, source, text, lines, percent, buttonStyle, Button, Choice, Heat, isTyping, useEscape };
})();
