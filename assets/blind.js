// Blind mode of Generations: names and colours are hidden, the columns shuffled; vote, then reveal with a tally.
// Gradio draws the answers anew when another recipe finishes: `keep` puts order, letters and votes back.
window.qcompare.blind = {
  prompts: null, // per prompt: { order: titles as shuffled, vote: title or none }; null while names are shown
  study: "",
  observer: null,
  start(root) {
    this.observer ??= new MutationObserver(() => this.keep()); // runs before the browser paints: no name is seen
    this.observer.observe(root.closest("#qc-generations"), { subtree: true, childList: true, attributes: true });
    this.study = new URL(window.location.href).searchParams.get("study");
    this.prompts = [...root.querySelectorAll(".qc-prompt")].map((prompt) => ({ order: this.shuffled(this.titles(prompt)) }));
    this.draw(root);
    this.say(root, root.dataset.saidStart);
  },
  titles: (prompt) => [...prompt.querySelectorAll("article")].map((article) => article.dataset.title),
  shuffled: (titles) => titles.map((title) => [Math.random(), title]).sort((a, b) => a[0] - b[0]).map(([, title]) => title),
  draw(root) {
    root.dataset.blind = "on";
    root.querySelectorAll(".qc-prompt").forEach((prompt, n) => {
      const known = (this.prompts[n] ??= { order: [] });
      const titles = this.titles(prompt);
      known.order.push(...this.shuffled(titles.filter((title) => !known.order.includes(title)))); // they come last
      const columns = prompt.querySelector(".qc-columns");
      const articles = [...columns.children].sort((a, b) => known.order.indexOf(a.dataset.title) - known.order.indexOf(b.dataset.title));
      articles.forEach((article, place) => {
        const letter = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[place] ?? String(place + 1);
        article.querySelector("h4").dataset.letter = root.dataset.saidLetter + letter;
        article.querySelector(".qc-vote").setAttribute("aria-pressed", String(article.dataset.title === known.vote));
      });
      // moved, not only shown elsewhere: a screen reader must not tell either
      if (articles.some((article, place) => article !== columns.children[place])) columns.append(...articles);
    });
  },
  vote(root, button) {
    const place = [...root.querySelectorAll(".qc-prompt")].indexOf(button.closest(".qc-prompt"));
    this.prompts[place].vote = button.closest("article").dataset.title;
    this.draw(root);
    this.count(root);
  },
  votes() {
    return this.prompts.flatMap((prompt) => prompt.vote ?? []);
  },
  count(root) {
    const said = root.dataset.saidVoted.replace("{n}", this.votes().length).replace("{total}", this.prompts.length);
    this.say(root, this.votes().length ? said : root.dataset.saidStart);
  },
  reveal(root) {
    root.dataset.blind = "off";
    const tally = {};
    this.votes().forEach((title) => (tally[title] = (tally[title] ?? 0) + 1));
    const counted = Object.entries(tally).sort((a, b) => b[1] - a[1]).map(([title, votes]) => `${title} ${votes}`);
    const { saidTally, saidNone } = root.dataset;
    this.say(root, counted.length ? saidTally.replace("{votes}", counted.join(", ")) : saidNone);
    this.prompts = null;
    this.observer.disconnect();
  },
  keep() {
    const root = this.prompts && document.querySelector(".qc-answers");
    if (!root) return;
    if (this.study !== new URL(window.location.href).searchParams.get("study")) this.prompts = null;
    else {
      this.draw(root);
      this.count(root);
    }
    this.observer.takeRecords(); // what was changed just now
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
