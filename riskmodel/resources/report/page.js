"use strict";
(() => {
  const form = document.getElementById("filters");
  if (!form) return;
  const cards = [...document.querySelectorAll("details.card")];
  const texts = new Map();
  const textOf = (card) => {
    if (!texts.has(card)) texts.set(card, card.textContent.toLowerCase());
    return texts.get(card);
  };
  const fields = ["level", "topic", "agent", "channel"].filter((name) => form.elements[name]);

  const apply = () => {
    const words = form.elements.q.value.toLowerCase().split(/\s+/).filter(Boolean);
    const signal = form.elements.signal.value;
    let shown = 0;
    for (const card of cards) {
      const fits =
        fields.every((name) => !form.elements[name].value || card.dataset[name] === form.elements[name].value) &&
        (!signal || card.dataset.signal.split(" ").includes(signal)) &&
        words.every((word) => textOf(card).includes(word));
      card.hidden = !fits;
      shown += fits;
    }
    document.getElementById("shown").textContent = shown;
    document.getElementById("nothing").hidden = shown > 0;
  };

  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(apply));

  for (const button of document.querySelectorAll("button[data-set]")) {
    button.addEventListener("click", () => {
      const field = form.elements[button.dataset.set];
      if (!field) return;
      form.reset();
      field.value = button.dataset.value;
      apply();
      document.getElementById("list").scrollIntoView();
    });
  }

  const all = document.getElementById("all");
  all.addEventListener("click", () => {
    const open = all.textContent === all.dataset.open;
    for (const card of cards) if (!card.hidden) card.open = open;
    all.textContent = open ? all.dataset.close : all.dataset.open;
  });

  const closed = new Set();
  addEventListener("beforeprint", () => {
    for (const card of cards) if (!card.open) { closed.add(card); card.open = true; }
  });
  addEventListener("afterprint", () => {
    for (const card of closed) card.open = false;
    closed.clear();
  });
})();
