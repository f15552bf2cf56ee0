// The server at the other end: its events, our orders.

// A little more than two of its heartbeats: then it is away.
const LONGEST_SILENCE = 12_000;
const BETWEEN_TRIES = 2_000;

// A server that is busy carries an order out late. One that is away was said to be before this.
const PATIENCE = 30_000;

// For as long as the page is open, calls told[name](data) with what each event of that name tells,
// and away(reason), a key of the texts, when the server no longer tells anything.
export function listen(told, away) {
  let current;
  let silence;

  function heard(source) {
    clearTimeout(silence);
    silence = setTimeout(() => restart(source, "is_away"), LONGEST_SILENCE);
  }

  // Silence and an error may both say that a source has ended; the first is enough.
  function restart(source, reason) {
    source.close();
    if (source !== current) return;
    current = null;
    clearTimeout(silence);
    away(reason);
    setTimeout(connect, BETWEEN_TRIES);
  }

  function connect() {
    const source = (current = new EventSource("events"));
    heard(source);
    for (const [name, tell] of Object.entries(told)) {
      source.addEventListener(name, (event) => {
        heard(source);
        tell(JSON.parse(event.data));
      });
    }
    source.addEventListener("error", async () => {
      source.close();
      restart(source, await reason());
    });
  }

  connect();
}

// An event source does not tell why it failed.
async function reason() {
  try {
    const ending = new AbortController();
    const answer = await fetch("events", { signal: ending.signal });
    ending.abort();
    return { 401: "is_refused", 503: "is_crowded" }[answer.status] ?? "is_away";
  } catch {
    return "is_away";
  }
}

// Resolves to what the server answered, with `problem` if something went wrong: a key of the texts,
// or the server's own sentence.
export async function order(name, content = {}) {
  try {
    const answer = await fetch(`do/${name}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(content),
      signal: AbortSignal.timeout(PATIENCE),
    });
    const told = await answer.json();
    if (answer.ok) return told;
    return { problem: answer.status === 401 ? "is_refused" : (told.problem ?? "not_done") };
  } catch {
    return { problem: "not_reached" };
  }
}
