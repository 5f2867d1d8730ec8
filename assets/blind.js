// Blind mode of Generations: names and colours are hidden, the columns shuffled; vote, then reveal with a tally.
window.qcompare.blind = {
  votes: {}, // prompt's position → title of the recipe
  start(root) {
    this.votes = {};
    root.dataset.blind = "on";
    root.querySelectorAll(".qc-columns").forEach((columns) => {
      const articles = [...columns.children];
      articles.map((article) => [Math.random(), article]).sort((a, b) => a[0] - b[0]).forEach(([, article], n) => {
        const letter = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[n] ?? String(n + 1);
        article.querySelector("h4").dataset.letter = root.dataset.saidLetter + letter;
        article.querySelector(".qc-vote").setAttribute("aria-pressed", "false");
        columns.append(article); // moved, not only shown elsewhere: a screen reader must not tell either
      });
    });
    this.say(root, root.dataset.saidStart);
  },
  vote(root, button) {
    const prompt = button.closest(".qc-prompt");
    prompt.querySelectorAll(".qc-vote").forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
    this.votes[[...root.querySelectorAll(".qc-prompt")].indexOf(prompt)] = button.closest("article").dataset.title;
    const all = root.querySelectorAll(".qc-prompt").length;
    this.say(root, root.dataset.saidVoted.replace("{n}", Object.keys(this.votes).length).replace("{total}", all));
  },
  reveal(root) {
    root.dataset.blind = "off";
    const tally = {};
    Object.values(this.votes).forEach((title) => (tally[title] = (tally[title] ?? 0) + 1));
    const counted = Object.entries(tally).sort((a, b) => b[1] - a[1]).map(([title, votes]) => `${title} ${votes}`);
    const { saidTally, saidNone } = root.dataset;
    this.say(root, counted.length ? saidTally.replace("{votes}", counted.join(", ")) : saidNone);
  },
  say(root, text) {
    root.querySelector(".qc-tally").textContent = text;
  },
};
document.addEventListener("click", (event) => {
  const root = event.target.closest(".qc-answers");
  if (!root) return;
  if (event.target.closest(".qc-start-blind")) window.qcompare.blind.start(root);
  else if (event.target.closest(".qc-reveal")) window.qcompare.blind.reveal(root);
  else if (event.target.closest(".qc-vote")) window.qcompare.blind.vote(root, event.target.closest(".qc-vote"));
});
