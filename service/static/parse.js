// From what people paste or drop to the contract's conversation.

/** Return the conversations of a text: JSON, JSON Lines, or lines such as 「客服：…」. */
export function parseTranscript(text, names) {
  const bare = text.trim();
  if (!bare) return [];
  if (/^[[{]/.test(bare)) {
    const found = parseJson(bare);
    if (found) return found;
  }
  return [parseLines(bare, names)];
}

function parseJson(text) {
  try {
    const data = JSON.parse(text);
    return (Array.isArray(data) ? data : data.conversations || [data]).filter((c) => c && Array.isArray(c.turns));
  } catch {
    const out = [];
    for (const line of text.split("\n")) {
      if (!line.trim()) continue;
      try {
        const item = JSON.parse(line);
        if (item && Array.isArray(item.turns)) out.push(item);
      } catch {
        return null;
      }
    }
    return out.length ? out : null;
  }
}

function parseLines(text, names) {
  const speakers = Object.entries(names).flatMap(([who, list]) => list.map((n) => [n.toLowerCase(), who]));
  const turns = [];
  for (const raw of text.split(/\r?\n/)) {
    const line = raw.replace(/^\s*[[【(（]?\d{1,4}[-/:年.]\d[\d\s:/.年月日T+-]*[\])】）]?\s*/, "");
    const match = /^\s*([^\s：:()（）]{1,12})\s*(?:[(（][^)）]{0,20}[)）])?\s*[：:]\s*(.*)$/.exec(line);
    const who = match && speakers.find(([name]) => match[1].toLowerCase().startsWith(name));
    if (who) turns.push({ speaker: who[1], text: match[2] });
    else if (turns.length && line.trim()) turns[turns.length - 1].text += "\n" + line.trim();
    else if (line.trim()) turns.push({ speaker: "unknown", text: line.trim() });
  }
  return { id: "page-" + hash(text), turns };
}

function hash(text) {
  let h = 2166136261;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 16777619);
  return (h >>> 0).toString(16);
}

/** Return a conversation as lines a person can edit. */
export function toLines(conversation, names) {
  return conversation.turns
    .map((t) => `${(names[t.speaker || "unknown"] || [""])[0]}：${t.text}`)
    .join("\n");
}
