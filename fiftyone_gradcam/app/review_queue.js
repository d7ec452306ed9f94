// The queue of labels to review: the next cards are fetched ahead, and decisions are stored in
// order while the next card is already shown.
(function () {
  "use strict";
  const MOST_KNOWN = 10000; // ids of cards in one request
  const AHEAD = 5; // more cards are fetched when this number is left
  const { useEffect, useRef, useState, useCallback } = window.React;
  const { call, source } = window.__gradcam__;

  const known = new Map(); // pictures that are already fetched
  function fetchAhead(card) {
    for (const path of [card.path, ...Object.values(card.maps).map((x) => x.path)]) {
      if (known.has(path)) continue;
      const image = new Image();
      image.src = source(path);
      known.set(path, image);
      if (known.size > 200) known.delete(known.keys().next().value);
    }
  }

  // After the last card, and after the last suspicious one, go back to the first one that was
  // skipped, if there is any.
  function toSkipped(state, from) {
    const { cards, place, rest, note } = state;
    const isPast = place > from && !!cards[from].suspicious && !state.rest_suspicious
      && !cards.slice(place).some((x) => x.suspicious);
    const isSkipped = (x) => !x.done && (x.suspicious || !isPast);
    const skipped = cards.filter(isSkipped).length;
    if (!skipped || !(isPast || place >= cards.length && !rest)) return { cards, place, rest, note };
    const kind = isPast ? "suspicious label" : "label";
    const words = skipped === 1 ? `1 skipped ${kind} is left` : `${skipped} skipped ${kind}s are left`;
    return { cards, rest, place: cards.findIndex(isSkipped), note: `${words}. This is the first` };
  }

  // How many labels of a kind are left: those of the cards, and those after them.
  function leftOf({ cards, rest, rest_suspicious: suspicious }, own) {
    const further = own ? suspicious || 0 : (rest || 0) - (suspicious || 0);
    return cards.filter((x) => !x.done && !!x.suspicious === own).length + further;
  }

  // The position among all labels of a kind, such as "suspicious label 15 of 29". With filters,
  // among those that match and were left when the queue was loaded.
  function positionIn(state, isFiltered) {
    const { cards, place, progress } = state;
    const own = !!cards[place].suspicious;
    const isOwn = (x) => !!x.suspicious === own;
    const left = leftOf(state, own);
    const total = own ? (progress || {}).suspicious : (progress || {}).others;
    const decidedHere = cards.filter((x) => x.done && isOwn(x)).length;
    const of = isFiltered ? left + decidedHere : Math.max(total || 0, left + decidedHere);
    const before = cards.slice(0, place).filter((x) => !x.done && isOwn(x)).length;
    return `${own ? "suspicious" : "other"} label ${of - left + before + 1} of ${of}`;
  }

  // Whether all suspicious labels are decided, and there were any.
  function isFinished(state) {
    const { choices, progress } = state;
    return !!(choices && progress && progress.suspicious) && !leftOf(state, true);
  }

  // What a decision that was made has come to, in words, such as "changed to bees".
  function decided({ decision, label }) {
    return { accept: `changed to ${label}`, relabel: `changed to ${label}`, keep: `${label} was kept`,
      unclear: "marked as unclear, and left out", exclude: "excluded" }[decision] || decision;
  }

  // Whether a card has this decision already: its button and key would only repeat it.
  function hasDecision(card, decision, label) {
    if (!card.decision) return false;
    const isOut = (x) => x === "unclear" || x === "exclude";
    if (isOut(decision) || isOut(card.decision)) return decision === card.decision;
    const after = decision === "accept" ? card.suggestion : decision === "keep" ? card.label : label;
    return after === card.label;
  }

  // The state that all cards share: the queue, decisions in order, and keys.
  function useReview(modalId) {
    const [state, setState] = useState({ cards: [], place: 0, choices: null, error: "", note: "" });
    const [filters, setFilters] = useState({});
    const [shown, setShown] = useState("none");
    const now = useRef(state);
    now.current = state;
    const line = useRef(Promise.resolve());
    const isFetching = useRef(false);
    const waiting = useRef(0); // decisions that are not stored yet
    useEffect(() => {
      const ask = (e) => { if (waiting.current) e.preventDefault(); };
      window.addEventListener("beforeunload", ask);
      return () => window.removeEventListener("beforeunload", ask);
    }, []);
    const setLater = (change) => setState((old) => ({ ...old, ...change(old) }));

    const load = useCallback(async (adopt) => {
      isFetching.current = true;
      await line.current; // store decisions before fetching the queue
      const asked = modalId ? { ids: [modalId] } : filters;
      const found = await call("review_cards", { ...asked, adopt });
      isFetching.current = false;
      if (found.error) return setLater(() => ({ error: found.error }));
      found.cards.forEach(fetchAhead);
      setLater(() => ({
        cards: found.cards, place: 0, rest: found.rest, rest_suspicious: found.rest_suspicious,
        error: "", note: "", progress: found.progress,
        field: found.label_field,
        choices: { classes: found.classes, kinds: found.kinds, pairs: found.pairs },
      }));
    }, [modalId, JSON.stringify(filters)]);
    useEffect(() => { load(true); }, [load]);

    const more = useCallback(async () => {
      if (isFetching.current || modalId) return;
      isFetching.current = true;
      await line.current;
      const { cards } = now.current;
      const known = [...cards.filter((x) => x.done), ...cards.filter((x) => !x.done)].map((x) => x.id);
      const found = await call("review_cards", { ...filters, known: known.slice(-MOST_KNOWN) });
      isFetching.current = false;
      if (found.error) return setLater(() => ({ error: found.error }));
      found.cards.forEach(fetchAhead);
      setLater((old) => {
        const there = new Set(old.cards.map((x) => x.id));
        const all = [...old.cards, ...found.cards.filter((x) => !there.has(x.id))];
        return {
          ...toSkipped({ ...old, cards: all, rest: found.rest }),
          rest_suspicious: found.rest_suspicious,
          choices: { classes: found.classes, kinds: found.kinds, pairs: found.pairs },
        };
      });
    }, [modalId, JSON.stringify(filters)]);

    useEffect(() => {
      if (state.rest && state.cards.length - state.place <= AHEAD) more();
    }, [more, state.place, state.cards.length, state.rest]);

    const goTo = (to) => {
      const { cards, place } = now.current;
      const next = Math.min(Math.max(to, 0), cards.length);
      now.current = { ...now.current, ...toSkipped({ ...now.current, place: next, note: "" }, Math.min(place, cards.length - 1)) };
      const { place: found, note } = now.current;
      setLater(() => ({ place: found, note }));
      setShown("none");
    };
    const move = (step) => goTo(now.current.place + step);

    const toFirst = () => {
      const { cards, place } = now.current;
      const first = cards.findIndex((x) => !x.done);
      const to = first < 0 ? cards.length : first; // further cards are fetched there
      const note = to === place ? "This is the first label that is not reviewed" : "";
      now.current = { ...now.current, place: to, note };
      setLater(() => ({ place: to, note }));
      setShown("none");
    };

    const decide = (decision, label, newClass) => {
      const { cards, place, field } = now.current;
      const card = cards[place];
      if (!card) return;
      if (hasDecision(card, decision, label)) return setLater(() => ({ note: `This is decided already: ${decided(card)}` }));
      if (decision === "accept" && !card.suggestion) {
        return setLater(() => ({ note: "There is no suggestion to accept: choose a class, or keep the label" }));
      }
      const after = decision === "accept" ? card.suggestion : label || card.label;
      const changed = { ...card, decision, label: after, done: true };
      const next = cards.map((x) => (x.id === card.id ? changed : x));
      now.current = { ...now.current, cards: next };
      setLater(({ choices }) => ({
        cards: next, error: "",
        // A new class gets a button and a key at once; the server lists it when it is stored.
        choices: newClass ? { ...choices, classes: [...choices.classes, label] } : choices,
      }));
      const params = {
        id: card.id, decision, shown: card.label, label_field: field, new_class: !!newClass,
        source: modalId ? "App, sample modal" : "App, Review tab",
        ...(decision === "relabel" ? { label } : {}),
      };
      // Store decisions in the order of the keys.
      waiting.current += 1;
      line.current = line.current.then(() => call("review_decide", params)).then((found) => {
        if (found.error) { // show the card again, with the error
          return call("review_cards", { ids: [card.id], label_field: field }).then((fresh) =>
            setLater((old) => ({
              error: found.error,
              cards: old.cards.map((x) => (x.id === card.id ? (fresh.cards || [])[0] || card : x)),
              place: Math.max(old.cards.findIndex((x) => x.id === card.id), 0),
            })));
        }
        setLater((old) => ({ progress: found.progress, stored: (old.stored || 0) + 1 }));
        if (modalId) nextInModal(1);
      }).finally(() => { waiting.current -= 1; });
      if (modalId) return;
      const further = next.findIndex((x, i) => i > place && !x.done);
      goTo(further < 0 ? next.length : further); // cards that are decided are passed over
      if (newClass) setLater(() => ({ note: `${label} is a new class. Z takes it back` }));
    };

    const undo = () => {
      line.current = line.current.then(() => call("review_undo", {})).then((found) => {
        if (found.error) return setLater(() => ({ error: found.error }));
        const [card] = found.cards;
        setLater((old) => {
          const place = old.cards.findIndex((x) => x.id === card.id);
          const cards = old.cards.map((x) => found.cards.find((y) => y.id === x.id) || x);
          if (place < 0) cards.splice(old.place, 0, card);
          const note = found.count > 1 ? `${found.count} decisions are undone` : `Undone: ${decided(found)} (${card.path.split(/[\\/]/).pop()})`;
          // Bulk decisions also return labels to the queue whose cards are not here.
          const other = found.cards.slice(1).filter((x) => old.cards.some((y) => y.id === x.id)).length;
          const more = found.count - 1 - other; // of which suggestions were accepted
          const rest = (old.rest || 0) + more;
          const undone = (old.undone || 0) + 1;
          // Without a class that only this decision has added, but with those that are not stored yet.
          const decidedHere = cards.filter((x) => x.done && x.label).map((x) => x.label);
          const choices = { ...old.choices, classes: [...new Set([...found.classes, ...decidedHere])] };
          return { cards, rest, rest_suspicious: (old.rest_suspicious || 0) + more, place: place < 0 ? old.place : place, progress: found.progress, error: "", note, undone, choices };
        });
      });
    };

    const heat = () => {
      const card = now.current.cards[now.current.place];
      if (!card) return;
      const can = ["none", "label", "suggestion"].filter(
        (x, i) => x === "none" || (card.maps[card[x]] && (i < 2 || card.suggestion !== card.label)));
      if (can.length < 2) return setLater(() => ({ note: "No heatmaps of these classes yet. Under Steps, train a classifier and press Predict" }));
      setShown((old) => can[(can.indexOf(old) + 1) % can.length]);
    };
    return { state, filters, setFilters, shown, move, toFirst, decide, undo, heat, load, now };
  }

  // Tiles still show the old labels. `reload_samples` draws them again with what the App has.
  function reloadGrid() {
    window.__foo__.executeOperator("@voxel51/operators/reload_dataset", {});
  }

  function nextInModal(step) {
    const navigation = window.__fos__.modalNavigation && window.__fos__.modalNavigation.get();
    const key = step > 0 ? "ArrowRight" : "ArrowLeft";
    if (navigation) {
      document.dispatchEvent(new KeyboardEvent("keydown", { key, code: key, bubbles: true }));
    }
  }

  Object.assign(window.__gradcam__, { useReview, positionIn, isFinished, decided, hasDecision, reloadGrid });
})();
