// Drawing. Every text is a text node: nothing that came in is ever read as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element; strings among the children become text nodes. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== false && value !== undefined && value !== null) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((c) => c !== null && c !== undefined));
  return node;
}

function svg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const counts = (e) => (e.status === "threatened" || e.status === "done") && e.probability >= 0.5;
const alike = (a, b) => a === b || (a && b && a.signal === b.signal && a.status === b.status && counts(a) === counts(b));

/** Cut a text into runs with the same evidence on top; offsets are code points. */
export function segments(text, evidence) {
  const chars = Array.from(text);
  const top = new Array(chars.length).fill(null);
  const order = [...evidence].sort((a, b) => counts(a) - counts(b) || a.probability - b.probability);
  for (const item of order) for (let i = item.start; i < item.end; i++) top[i] = item;
  const out = [];
  for (let i = 0; i < chars.length; ) {
    let end = i + 1;
    while (end < chars.length && alike(top[end], top[i])) end += 1;
    const best = top.slice(i, end).reduce((a, b) => (b && b.probability > a.probability ? b : a), top[i]);
    out.push([chars.slice(i, end).join(""), best]);
    i = end;
  }
  return out;
}

/** Return a bubble's content with the evidence marked. */
export function marked(text, evidence, groupOf, describe, onpick) {
  return segments(text, evidence).map(([part, item]) => {
    if (!item) return document.createTextNode(part);
    const node = el("mark", { class: `${groupOf(item.signal)}${counts(item) ? "" : " mild"}`, tabindex: 0, role: "button", "aria-haspopup": "menu", "aria-label": `${part}: ${describe(item)}` }, part);
    tip(node, describe(item));
    if (onpick) {
      node.addEventListener("click", (event) => (event.stopPropagation(), onpick(node, item)));
      node.addEventListener("keydown", (event) => (event.key === "Enter" || event.key === " ") && (event.preventDefault(), onpick(node, item)));
    }
    return node;
  });
}

let shown = null;
/** Show words while the pointer or the keyboard is on a node. */
export function tip(node, words) {
  const show = () => {
    hide();
    shown = el("div", { class: "tip" }, words);
    document.body.append(shown);
    const box = node.getBoundingClientRect();
    place(shown, box.left, box.top - shown.offsetHeight - 6);
  };
  const hide = () => (shown?.remove(), (shown = null));
  for (const name of ["mouseenter", "focus"]) node.addEventListener(name, show);
  for (const name of ["mouseleave", "blur", "click"]) node.addEventListener(name, hide);
}

export function place(node, left, top) {
  const x = Math.max(8, Math.min(left, document.documentElement.clientWidth - node.offsetWidth - 8));
  node.style.left = `${x + window.scrollX}px`;
  node.style.top = `${Math.max(4, top) + window.scrollY}px`;
}

/** Draw the risk after each turn. */
export function curve(points, total, deciding, onpick, label, width) {
  const height = 130, left = 42, right = 12, top = 10, bottom = 22;
  const x = (i) => left + ((width - left - right) * (total > 1 ? i / (total - 1) : 0.5));
  const y = (p) => top + (height - top - bottom) * (1 - p);
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  for (const p of [0, 0.5, 1]) {
    root.append(svg("line", { class: "grid", x1: left, x2: width - right, y1: y(p), y2: y(p) }));
    root.append(svg("text", { class: "axis", x: left - 6, y: y(p) + 4, "text-anchor": "end" }, `${p * 100}%`));
  }
  root.append(svg("polyline", { class: "line", points: points.map((p, i) => `${x(i)},${y(p.risk)}`).join(" ") }));
  const step = Math.ceil(total / Math.max(4, Math.floor(width / 40)));
  points.forEach((p, i) => {
    if (i % step === 0 || i === total - 1) root.append(svg("text", { class: "axis", x: x(i), y: height - 6, "text-anchor": "middle" }, `${i + 1}`));
    if (i === deciding) root.append(svg("circle", { class: `decides ${p.level}`, cx: x(i), cy: y(p.risk), r: 9 }));
    const dot = svg("circle", { class: `dot ${p.level}`, cx: x(i), cy: y(p.risk), r: 5, tabindex: 0, role: "button", "aria-label": `${i + 1}: ${Math.round(p.risk * 100)}%` });
    dot.addEventListener("click", () => onpick(i));
    dot.addEventListener("keydown", (event) => event.key === "Enter" && onpick(i));
    tip(dot, p.words);
    root.append(dot);
  });
  return root;
}

/** Paint characters by what they add to a signal. */
export function heated(characters, weights, strongest) {
  return characters.map((c, i) => {
    const share = Math.min(1, Math.abs(weights[i]) / (strongest || 1));
    const node = el("span", {}, c);
    if (share > 0.04) node.style.backgroundColor = `color-mix(in srgb, ${weights[i] > 0 ? "var(--critical-c)" : "var(--keyword-l)"} ${Math.round(share * 62)}%, transparent)`;
    node.title = weights[i].toFixed(2);
    return node;
  });
}

/** Return a clock such as 29:59 or 1:59:59 for the seconds that are left. */
export function clock(seconds) {
  const s = Math.abs(Math.round(seconds));
  const pad = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(s / 3600);
  const rest = `${pad(Math.floor(s / 60) % 60)}:${pad(s % 60)}`;
  return `${seconds < 0 ? "−" : ""}${hours ? `${hours}:${rest}` : rest}`;
}
