// The service, as the page uses it.

const KEY = "riskmodel.key";
export const getKey = () => sessionStorage.getItem(KEY) || "";
export const setKey = (key) => (key ? sessionStorage.setItem(KEY, key) : sessionStorage.removeItem(KEY));

/** Ask; throws an Error whose message is the problem's own words. */
export async function ask(path, body) {
  const headers = {};
  if (getKey()) headers["X-API-Key"] = getKey();
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, { method: body === undefined ? "GET" : "POST", headers, body: body && JSON.stringify(body) });
  const data = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    const error = new Error(data.detail || `${answer.status}`);
    error.status = answer.status;
    throw error;
  }
  return data;
}

/** Feed a conversation turn by turn; calls `each` with every assessment. Returns a function that stops. */
export function live(conversation, each) {
  const protocols = ["riskmodel"];
  if (getKey()) protocols.push("riskmodel.key." + Array.from(new TextEncoder().encode(getKey()), (b) => b.toString(16).padStart(2, "0")).join(""));
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/live`, protocols);
  let next = 0;
  const say = (data) => socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify(data));
  const sendNext = () => (next < conversation.turns.length ? say({ type: "turn", turn: conversation.turns[next] }) : say({ type: "end" }));
  socket.onopen = () => say({ type: "start", id: String(conversation.id), record: false });
  socket.onmessage = (event) => {
    const data = JSON.parse(event.data);
    if (data.type === "started") sendNext();
    else if (data.type === "assessment") {
      next += 1;
      each(data);
      sendNext();
    } else if (data.type === "error") {
      if (data.problem.status === 429) setTimeout(sendNext, 300);
      else socket.close();
    }
  };
  return () => socket.close();
}
