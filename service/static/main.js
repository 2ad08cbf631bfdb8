// The review page: paste, score, see, correct.

import { ask, getKey, live, setKey } from "/static/api.js";
import { parseTranscript, toLines } from "/static/parse.js";
import { clock, curve, el, heated, marked, place, tip } from "/static/view.js";

const $ = (id) => document.getElementById(id);
const LEVELS = ["none", "low", "high", "critical"];
const state = { lang: "zh", words: null, all: null, conversation: null, assessment: null, points: [], deciding: null, since: 0, stop: null, groups: {} };

/** A name for people: of the page's own words, else of the package's. */
const word = (table, name) => state.words[table]?.[name] ?? state.all.labels[table]?.[name]?.[state.lang === "zh" ? 0 : 1] ?? name;
const ui = (name) => state.words.ui[name] ?? word("group", name);
const groupOf = (signal) => state.groups[signal] || "keyword";

// -- start ------------------------------------------------------------------------------------

async function start() {
  const [words, labels] = await Promise.all(["/static/words.json", "/static/labels.json"].map(async (path) => (await fetch(path)).json()));
  state.all = { ...words, ...labels };
  for (const [group, names] of Object.entries(state.all.groups)) for (const name of names) state.groups[name] = group;
  const samples = await (await fetch("/static/samples.json")).json();
  setTheme(localStorage.getItem("riskmodel.theme") || "");
  setLang(localStorage.getItem("riskmodel.lang") || (navigator.language.startsWith("zh") ? "zh" : "en"), samples);
  $("key").value = getKey();
  $("key").addEventListener("change", () => (setKey($("key").value.trim()), showModel(), showRecent()));
  $("key-form").addEventListener("submit", (e) => (e.preventDefault(), ($("key-box").open = false)));
  $("lang").addEventListener("click", () => setLang(state.lang === "zh" ? "en" : "zh", samples));
  $("theme").addEventListener("click", () => {
    const dark = getComputedStyle(document.documentElement).colorScheme === "dark" || (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
    setTheme(dark ? "light" : "dark");
  });
  $("samples").addEventListener("change", () => {
    const sample = samples[Number($("samples").value)];
    if (sample) ($("transcript").value = toLines(sample, state.all.speakers)), score({ ...sample });
  });
  $("file").addEventListener("change", () => $("file").files[0] && openFile($("file").files[0]));
  $("score").addEventListener("click", () => score());
  $("clear").addEventListener("click", clear);
  $("transcript").addEventListener("keydown", (e) => (e.ctrlKey || e.metaKey) && e.key === "Enter" && score());
  $("level").addEventListener("click", () => pickLevel());
  $("heat").addEventListener("change", drawHeat);
  $("send").addEventListener("click", send);
  let timer = 0;
  $("message").addEventListener("input", () => (clearTimeout(timer), (timer = setTimeout(guard, 250))));
  dropping($("input"));
  document.addEventListener("click", (e) => !$("menu").contains(e.target) && closeMenu());
  document.addEventListener("keydown", (e) => e.key === "Escape" && closeMenu());
  new ResizeObserver(drawCurve).observe($("curve"));
  setInterval(tick, 1000);
  showModel();
  showRecent();
}

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  localStorage.setItem("riskmodel.theme", theme);
}

function setLang(lang, samples) {
  state.lang = lang;
  state.words = state.all[lang];
  localStorage.setItem("riskmodel.lang", lang);
  document.documentElement.lang = lang === "zh" ? "zh-CN" : "en";
  document.title = ui("title");
  for (const node of document.querySelectorAll("[data-t]")) node.textContent = ui(node.dataset.t);
  for (const node of document.querySelectorAll("[data-p]")) (node.placeholder = ui(node.dataset.p)), node.setAttribute("aria-label", ui(node.dataset.p));
  const chosen = $("samples").value;
  $("samples").replaceChildren(el("option", { value: "" }, ui("pick")), ...samples.map((s, i) => el("option", { value: i }, s.title[lang])));
  $("samples").value = chosen;
  if (state.assessment) draw();
  showRecent();
  if ($("message").value.trim()) guard();
}

async function showModel() {
  try {
    const model = await ask("/v1/model");
    $("model").textContent = `${model.name} ${model.version} · ${model.digest}`;
  } catch (error) {
    $("model").textContent = "";
    if (error.status === 401) ($("key-box").open = true), problem(error.message);
  }
}

async function showRecent() {
  try {
    const { conversations } = await ask("/v1/recent?limit=12");
    $("recent-box").hidden = !conversations.length;
    $("recent").replaceChildren(
      ...conversations.map((item) =>
        el("li", {}, el("button", { type: "button", disabled: !item.conversation, onclick: () => openStored(item) },
          el("span", { class: `pill ${item.assessment.level}` }, word("level", item.assessment.level)),
          el("span", {}, item.conversation_id),
          el("span", { class: "muted" }, new Date(item.at).toLocaleTimeString(state.lang, { hour: "2-digit", minute: "2-digit" }))))),
    );
  } catch {
    $("recent-box").hidden = true; // the store is off
  }
}

function openStored(item) {
  $("transcript").value = toLines(item.conversation, state.all.speakers);
  score(item.conversation);
}

function dropping(zone) {
  for (const name of ["dragover", "dragenter"]) zone.addEventListener(name, (e) => (e.preventDefault(), zone.classList.add("drop")));
  for (const name of ["dragleave", "drop"]) zone.addEventListener(name, () => zone.classList.remove("drop"));
  zone.addEventListener("drop", (e) => (e.preventDefault(), e.dataTransfer.files[0] && openFile(e.dataTransfer.files[0])));
}

async function openFile(file) {
  const bytes = await file.arrayBuffer();
  let text;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    text = new TextDecoder("gb18030").decode(bytes);
  }
  $("transcript").value = text;
  score();
}

// -- scoring ----------------------------------------------------------------------------------

async function score(given) {
  problem("");
  let conversation = given;
  if (!conversation) {
    const found = parseTranscript($("transcript").value, state.all.speakers);
    if (!found.length || !found[0].turns.length) return problem(ui("nothing"));
    conversation = found[0];
    if (found.length > 1) toast(ui("first_of").replace("{n}", found.length));
  }
  const { title: _, ...plain } = conversation;
  state.conversation = plain;
  $("score").disabled = true;
  try {
    state.assessment = await ask("/v1/score?record=false", plain);
  } catch (error) {
    if (error.status === 401) $("key-box").open = true;
    return problem(error.message);
  } finally {
    $("score").disabled = false;
  }
  state.since = Date.now();
  state.points = [];
  state.deciding = null;
  state.stop?.();
  $("heat").value = "";
  draw();
  state.stop = live(plain, (update) => {
    const a = update.assessment;
    state.points.push({ risk: a.risk, level: a.level, words: `${update.turn + 1} · ${word("level", a.level)} · ${Math.round(a.risk * 100)}%` });
    state.deciding = update.deciding_turn;
    drawCurve();
    if (state.points.length === plain.turns.length) markDeciding();
  });
}

function clear() {
  state.stop?.();
  state.conversation = state.assessment = null;
  $("transcript").value = "";
  $("samples").value = "";
  $("found").hidden = true;
  $("empty").hidden = false;
  problem("");
  $("transcript").focus();
}

function problem(words) {
  $("problem").hidden = !words;
  $("problem").textContent = words;
}

// -- drawing ----------------------------------------------------------------------------------

const describe = (e) =>
  `${word("signal", e.signal)} · ${word("status", e.status)} · ${Math.round(e.probability * 100)}% · ${e.source === "model" ? ui("by_model") : ui("by_rule")}`;

function draw() {
  const { assessment: a } = state;
  $("empty").hidden = true;
  $("found").hidden = false;
  $("level").className = `level ${a.level}`;
  $("level").textContent = word("level", a.level);
  $("level").title = ui("correct_level");
  $("risk").textContent = a.risk > 0.999 ? "> 99.9%" : a.risk < 0.001 ? "< 0.1%" : `${(a.risk * 100).toFixed(1)}%`;
  $("risk-bar").style.width = `${a.risk * 100}%`;
  $("risk-bar").style.background = `var(--${a.level}-c)`;
  $("topic").textContent = word("topic", a.topic);
  const found = Object.entries(a.signals);
  $("signals").replaceChildren(
    ...(found.length ? found : [[null]]).map(([name, f]) =>
      name
        ? el("li", {},
            el("i", { class: `swatch ${groupOf(name)}` }),
            el("span", { class: f.standing ? "" : "off" }, word("signal", name)),
            el("span", { class: "muted" }, `${f.standing || !["threatened", "done"].includes(f.status) ? word("status", f.status) : ui(f.probability >= 0.5 ? "withdrawn" : "weak")} · ${Math.round(f.probability * 100)}% · ${f.turns.map((t) => `#${t + 1}`).join(" ")}`))
        : el("li", { class: "muted" }, ui("no_signals"))),
  );
  $("reasons").replaceChildren(...a.reasons.map((r) => el("li", { title: r.weight.toFixed(2) }, `${r.weight > 0 ? "↑" : "↓"} ${reasonName(r.feature)}`)));
  $("actions").replaceChildren(
    ...(a.actions.length
      ? a.actions.map((x) =>
          el("li", {}, el("span", { class: "what" }, word("action", x.action)),
            el("span", { class: "muted" }, LEVELS.includes(x.because) ? word("level", x.because) : word("signal", x.because)),
            el("time", { "data-due": x.due_in_s })))
      : [el("li", { class: "muted" }, ui("no_actions"))]),
  );
  tick();
  $("heat").replaceChildren(el("option", { value: "" }, ui("off")), ...found.map(([name]) => el("option", { value: name }, word("signal", name))));
  drawTurns();
  drawCurve();
  markDeciding();
  const unjudged = a.not_analysed.map((n) => `#${n.turn + 1} ${word("not_analysed", n.reason)}`);
  $("unjudged").textContent = unjudged.length ? `${ui("unjudged")} ${unjudged.join("，")}` : "";
}

function reasonName(feature) {
  const [kind, ...rest] = feature.split(":");
  const name = rest.join(":");
  if (kind === "words") return `「${name}」`;
  if (kind === "signal") return word("signal", name);
  return word("reasons", feature);
}

function drawTurns() {
  const { conversation, assessment } = state;
  $("turns").replaceChildren(
    ...conversation.turns.map((turn, i) => {
      const evidence = assessment.evidence.filter((e) => e.turn === i);
      const who = turn.speaker || "unknown";
      const add = el("button", { type: "button", class: "add", "aria-label": ui("add_signal"), title: ui("add_signal"), onclick: (e) => (e.stopPropagation(), addSignal(e.currentTarget, i)) }, "＋");
      return el("li", { class: `turn ${who}`, id: `turn-${i}` },
        el("span", { class: "who" }, `#${i + 1} ${word("speaker", who)}`, turn.time ? ` ${String(turn.time).slice(11, 16)}` : "", add),
        el("div", { class: "bubble" }, ...marked(turn.text, evidence, groupOf, describe, pickEvidence)));
    }),
  );
}

function drawCurve() {
  if (!state.assessment || $("found").hidden) return;
  const width = Math.max(260, $("curve").clientWidth);
  $("curve").replaceChildren(curve(state.points, state.conversation.turns.length, state.deciding, goTo, ui("curve"), width));
}

function markDeciding() {
  const i = state.deciding;
  for (const node of document.querySelectorAll(".turn.decides")) node.classList.remove("decides");
  const risky = state.assessment && LEVELS.indexOf(state.assessment.level) >= 2;
  $("deciding").textContent = i === null || !risky ? "" : ui("decided").replace("{n}", i + 1).replace("{level}", word("level", state.assessment.level));
  if (i !== null && risky) $(`turn-${i}`)?.classList.add("decides");
}

function goTo(i) {
  const node = $(`turn-${i}`);
  node.scrollIntoView({ behavior: "smooth", block: "center" });
  node.classList.remove("flash");
  requestAnimationFrame(() => node.classList.add("flash"));
}

function tick() {
  for (const node of document.querySelectorAll("time[data-due]")) {
    const left = Number(node.dataset.due) - (Date.now() - state.since) / 1000;
    node.textContent = clock(left);
    node.className = left < 0 ? "late" : left < 300 ? "soon" : "";
  }
}

async function drawHeat() {
  const signal = $("heat").value;
  drawTurns();
  markDeciding();
  if (!signal) return;
  const side = groupOf(signal) === "red_line" ? "agent" : "customer";
  const { conversation } = state;
  try {
    const turns = conversation.turns.map((t, i) => [t, i]).filter(([t]) => t.speaker === side && t.text).slice(0, 60);
    const heats = [];
    for (const [turn, i] of turns) heats.push([i, await ask("/v1/heat", { conversation: { id: String(conversation.id), turns: [turn] }, turn: 0, signal })]);
    const strongest = Math.max(...heats.flatMap(([, h]) => h.weights.map(Math.abs)), 0.001);
    for (const [i, h] of heats) $(`turn-${i}`)?.querySelector(".bubble").replaceChildren(...heated(h.characters, h.weights, strongest));
  } catch (error) {
    toast(error.message);
  }
}

// -- correcting: click the words or the level, click what is right ------------------------------

function openMenu(anchor, title, items) {
  const menu = $("menu");
  menu.replaceChildren(
    el("p", {}, title),
    ...items.map(([label, checked, run, group]) =>
      el("button", { type: "button", role: "menuitemradio", "aria-checked": String(checked), onclick: () => (closeMenu(), run(), anchor.focus?.()) }, group ? el("i", { class: `swatch ${group}` }) : null, label)),
  );
  menu.hidden = false;
  const box = anchor.getBoundingClientRect();
  const below = box.bottom + 4;
  place(menu, box.left, below + menu.offsetHeight > innerHeight ? Math.max(8, box.top - menu.offsetHeight - 4) : below);
  menu.querySelector("button")?.focus({ preventScroll: true });
  menu.onkeydown = (e) => {
    if (e.key !== "ArrowDown" && e.key !== "ArrowUp") return;
    e.preventDefault();
    const all = [...menu.querySelectorAll("button")];
    all[(all.indexOf(document.activeElement) + (e.key === "ArrowDown" ? 1 : all.length - 1)) % all.length].focus();
  };
}

const closeMenu = () => ($("menu").hidden = true);

function pickLevel() {
  const now = state.assessment.level;
  setTimeout(() => openMenu($("level"), ui("correct_level"), LEVELS.map((l) => [word("level", l), l === now, () => correct({ risk_level: l })])));
}

/** The labels that a turn has now: what stands in the evidence. */
function labelsOf(turn) {
  const best = new Map();
  for (const e of state.assessment.evidence.filter((x) => x.turn === turn && x.probability >= 0.5)) best.set(e.signal, e.status);
  return best;
}

function pickEvidence(node, item) {
  const say = (status) => {
    const labels = labelsOf(item.turn);
    labels.delete(item.signal);
    if (status) labels.set(item.signal, status);
    correct({ turns: [{ turn: item.turn, signals: [...labels].map(([s, st]) => `${s}:${st}`) }] });
  };
  const statuses = Object.keys(state.all.labels.status);
  openMenu(node, describe(item), [
    [ui("not_this"), false, () => say(null)],
    ...statuses.map((s) => [`${word("signal", item.signal)} · ${word("status", s)}`, s === item.status, () => say(s), groupOf(item.signal)]),
  ]);
}

function addSignal(node, turn) {
  const agent = state.conversation.turns[turn].speaker === "agent";
  const names = Object.entries(state.all.groups).filter(([g]) => (g === "red_line") === agent).flatMap(([g, list]) => list.map((n) => [n, g]));
  openMenu(node, ui("add_signal"), names.map(([name, group]) => [word("signal", name), false, () => {
    const labels = labelsOf(turn);
    labels.set(name, state.all.demands.includes(name) ? "threatened" : "done");
    correct({ turns: [{ turn, signals: [...labels].map(([s, st]) => `${s}:${st}`) }] });
  }, group]));
}

async function correct(what) {
  try {
    await ask("/v1/feedback", { conversation: state.conversation, ...what });
    toast(ui("thanks"));
  } catch (error) {
    toast(error.status === 409 ? ui("no_store") : error.message);
  }
}

let fading = 0;
function toast(words) {
  $("toast").textContent = words;
  $("toast").hidden = false;
  clearTimeout(fading);
  fading = setTimeout(() => ($("toast").hidden = true), 4000);
}

// -- the guard --------------------------------------------------------------------------------

async function guard() {
  const message = $("message").value;
  const box = $("decision");
  if (!message.trim()) return (box.hidden = true), ($("send").disabled = false);
  let found;
  try {
    found = await ask("/v1/guard", { message, lang: state.lang, ...(state.conversation ? { conversation: state.conversation } : {}) });
  } catch (error) {
    return toast(error.message);
  }
  if (message !== $("message").value) return; // typed on meanwhile
  box.hidden = false;
  box.className = `decision ${found.decision}`;
  box.replaceChildren(
    el("p", {}, el("strong", {}, ui(`guard_${found.decision}`)), found.not_analysed ? ` · ${word("not_analysed", found.not_analysed)}` : ""),
    ...(found.evidence.length ? [el("p", {}, ...marked(message, found.evidence, groupOf, describe))] : []),
    ...(found.reason ? [el("p", {}, found.reason), el("p", { class: "muted" }, found.hint)] : []),
  );
  $("send").disabled = found.decision === "hold";
}

async function send() {
  const message = $("message").value.trim();
  if (!message) return $("message").focus();
  await guard();
  if ($("send").disabled) return;
  const before = state.conversation || { id: "page-guard", turns: [] };
  const conversation = { ...before, turns: [...before.turns, { speaker: "agent", text: message }] };
  $("message").value = "";
  $("decision").hidden = true;
  $("transcript").value = toLines(conversation, state.all.speakers);
  await score(conversation);
}

start();
