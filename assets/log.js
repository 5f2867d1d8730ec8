// Follows the log of the chosen job on Progress: asks for what is new since an offset, once a second while it is seen.
(() => {
  const KEPT = 200000; // characters in the page: longer texts have stalled browsers
  let now = null; // the log that is shown: its element, its job, what was read, whether it is paused or searched

  const address = (query) => new URL(`log/${encodeURIComponent(now.job)}?${query}`, document.baseURI);
  const say = (key, n) => {
    now.box.querySelector("[role=status]").textContent = key ? now.box.querySelector("[role=status]").dataset[key].replace("{n}", n) : "";
  };
  const draw = (text) => {
    now.box.querySelector("pre").textContent = text;
  };

  async function ask(query) {
    const asked = now;
    const answer = await fetch(address(query));
    if (!answer.ok) throw new Error(await answer.text());
    const found = await answer.json();
    return asked === now && asked.job === asked.box.dataset.log ? found : null; // another log was chosen meanwhile
  }

  async function follow() {
    const piece = await ask(`from=${now.next}`);
    if (!piece || now.paused || now.word) return;
    if (piece.size === now.size && !now.stale) return;
    const before = piece.skipped || piece.next < now.next ? "" : now.lines;
    const lines = before + piece.lines;
    const cut = lines.length > KEPT ? lines.indexOf("\n", lines.length - KEPT) + 1 : 0;
    Object.assign(now, { lines: lines.slice(cut), next: piece.next, size: piece.size, stale: false });
    now.cut = now.cut || cut > 0 || piece.skipped;
    draw(now.lines + piece.rest);
    say(piece.size ? now.cut && "cut" : "nothing");
  }

  async function search(word) {
    now.word = word;
    now.stale = true;
    if (!word) return tick();
    const found = await ask(`find=${encodeURIComponent(word)}`);
    if (!found || now.word !== word) return;
    draw(found.lines.join("\n"));
    say(found.more ? "last" : found.lines.length ? "found" : "none", found.lines.length);
  }

  function label(button) {
    button.setAttribute("aria-pressed", now.paused);
    button.textContent = now.paused ? button.dataset.follow : button.dataset.pause;
  }

  function pause() {
    now.paused = !now.paused;
    label(now.box.querySelector(".qc-pause"));
    if (now.paused) return say("paused");
    now.stale = true;
    tick();
  }

  // Gradio keeps the elements when another job is chosen: what was typed, pressed and drawn for the last one goes.
  function take(box) {
    now = { box, job: box.dataset.log, lines: "", next: 0, size: -1, stale: true, cut: false, paused: false, word: "" };
    box.querySelector("input").value = "";
    label(box.querySelector(".qc-pause"));
    draw("");
    say("");
  }

  let asking = false;
  async function tick() {
    const box = document.querySelector("#qc-log [data-log]");
    if (!box) return void (now = null);
    if (now?.box !== box || now.job !== box.dataset.log) take(box);
    if (asking || document.hidden || !box.offsetParent || now.paused || now.word) return;
    asking = true;
    try {
      await follow();
    } catch {
      // the app is away: the next look tries again
    } finally {
      asking = false;
    }
  }
  setInterval(tick, 1000);
  document.addEventListener("click", (event) => {
    if (now && event.target.closest("#qc-log .qc-pause")) return pause();
    setTimeout(tick, 300); // a row was chosen: its log is shown at once
  });
  let typed;
  document.addEventListener("input", (event) => {
    if (!now || !event.target.closest("#qc-log")) return;
    const asked = now;
    clearTimeout(typed);
    typed = setTimeout(() => asked === now && search(event.target.value.trim()).catch(() => {}), 300);
  });
})();
