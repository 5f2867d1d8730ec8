// Blind mode of Generations: names and colours are hidden, the columns shuffled; vote, then reveal.
// Gradio draws the answers anew when another recipe finishes: `keep` puts order, letters and votes back, also after the
// reveal. What was not revealed yet goes on after a reload. Each vote is sent to the server, which keeps and pools them.
window.qcompare.blind = {
  session: null, // { study, revealed, prompts: { key: { order: job ids as shuffled, vote: job id or none } } }
  observer: null,
  open: () => new URL(window.location.href).searchParams.get("study"),
  // The element in which the answers are drawn, once it is there.
  watch(element) {
    this.observer ??= new MutationObserver(() => this.keep()); // runs before the browser paints: no name is seen
    this.observer.observe(element, { subtree: true, childList: true });
    this.keep();
  },
  start(root) {
    this.session = { study: this.open(), revealed: false, prompts: {} };
    this.draw(root);
    this.count(root);
  },
  // What a reload left, of the study that is open.
  resumed() {
    try {
      const kept = JSON.parse(window.qcompare.remembered("blind") ?? "null");
      return kept?.study === this.open() ? kept : null;
    } catch {
      return null;
    }
  },
  jobs: (prompt) => [...prompt.querySelectorAll("article")].map((article) => article.dataset.job),
  shuffled: (ids) => ids.map((id) => [Math.random(), id]).sort((a, b) => a[0] - b[0]).map(([, id]) => id),
  draw(root) {
    const { prompts, revealed } = this.session;
    root.dataset.blind = revealed ? "off" : "on";
    document.documentElement.classList.toggle("qc-blind-on", !revealed);
    root.querySelectorAll(".qc-prompt").forEach((prompt) => {
      const known = (prompts[prompt.dataset.prompt] ??= { order: [] });
      known.order.push(...this.shuffled(this.jobs(prompt).filter((id) => !known.order.includes(id)))); // they come last
      const columns = prompt.querySelector(".qc-columns");
      const articles = [...columns.children].sort((a, b) => known.order.indexOf(a.dataset.job) - known.order.indexOf(b.dataset.job));
      articles.forEach((article, place) => {
        const letter = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[place] ?? String(place + 1);
        article.querySelector("h4").dataset.letter = root.dataset.saidLetter + letter;
        article.toggleAttribute("data-voted", article.dataset.job === known.vote);
        article.querySelector(".qc-vote").setAttribute("aria-pressed", String(article.dataset.job === known.vote));
        article.querySelectorAll("mark[data-term]").forEach((mark) => (mark.tabIndex = revealed ? 0 : -1));
      });
      // moved, not only shown elsewhere: a screen reader must not tell either
      if (articles.some((article, place) => article !== columns.children[place])) columns.append(...articles);
    });
    window.qcompare.remember("blind", revealed ? "null" : JSON.stringify(this.session));
    this.observer?.takeRecords(); // what was changed just now
  },
  vote(root, button) {
    const article = button.closest("article"), prompt = button.closest(".qc-prompt");
    this.session.prompts[prompt.dataset.prompt].vote = article.dataset.job;
    this.draw(root);
    this.count(root);
    window.qcompare.castVote?.({ prompt: prompt.dataset.prompt, chosen: article.dataset.job, shown: this.jobs(prompt), browser: this.browser() });
  },
  // Tells browsers apart where nobody logs in.
  browser() {
    const known = window.qcompare.remembered("voter") ?? [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    window.qcompare.remember("voter", known);
    return known;
  },
  // Titles of the chosen answers, of prompts that are still there.
  votes(root) {
    return [...root.querySelectorAll("article[data-voted]")].map((article) => article.dataset.title);
  },
  count(root) {
    const votes = this.votes(root);
    if (this.session.revealed) {
      const tally = {};
      votes.forEach((title) => (tally[title] = (tally[title] ?? 0) + 1));
      const counted = Object.entries(tally).sort((a, b) => b[1] - a[1]).map(([title, n]) => `${title} ${n}`);
      this.say(root, counted.length ? root.dataset.saidTally.replace("{votes}", counted.join(", ")) : root.dataset.saidNone);
    } else {
      const total = root.querySelectorAll(".qc-prompt").length;
      this.say(root, votes.length ? root.dataset.saidVoted.replace("{n}", votes.length).replace("{total}", total) : root.dataset.saidStart);
    }
  },
  // The columns stay where they are, and what was chosen is marked.
  reveal(root) {
    this.session.revealed = true;
    this.draw(root);
    this.count(root);
  },
  keep() {
    const root = document.querySelector(".qc-answers");
    if (!root) return;
    if (this.session?.study !== this.open()) this.session = this.resumed();
    document.documentElement.classList.toggle("qc-blind-on", Boolean(this.session) && !this.session.revealed);
    if (!this.session) return;
    this.draw(root);
    this.count(root);
    this.observer.takeRecords();
  },
  say(root, text) {
    const tally = root.querySelector(".qc-tally");
    if (tally.textContent !== text) tally.textContent = text;
  },
};
document.addEventListener("click", (event) => {
  const root = event.target.closest(".qc-answers");
  if (!root) return;
  if (event.target.closest(".qc-start-blind")) window.qcompare.blind.start(root);
  else if (event.target.closest(".qc-reveal")) window.qcompare.blind.reveal(root);
  else if (event.target.closest(".qc-vote")) window.qcompare.blind.vote(root, event.target.closest(".qc-vote"));
});
