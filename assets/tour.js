// A short tour, for who asks for it: a card in a corner that names what it talks about, one stop after another. While it
// is shown, the page's root says so and New hides its own Back and Next.
window.qcompare.tour = {
  at: 0,
  card: () => document.querySelector(".qc-tour"),
  show(stop) {
    const stops = [...this.card().querySelectorAll("li")];
    this.at = Math.min(stops.length - 1, Math.max(0, stop));
    this.card().hidden = false;
    stops.forEach((each, n) => (each.hidden = n !== this.at));
    this.card().querySelector("[data-tour=back]").hidden = this.at === 0;
    const last = this.at === stops.length - 1;
    this.card().querySelector("[data-tour=next]").hidden = last;
    this.card().querySelector("[data-tour=end]").textContent = last ? this.card().dataset.done : this.card().dataset.skip;
    this.mark(stops[this.at].dataset.about);
    document.documentElement.dataset.touring = "yes";
    window.qcompare.select(stops[this.at].dataset.tab);
  },
  mark(selector) {
    document.querySelectorAll(".qc-told").forEach((each) => each.classList.remove("qc-told"));
    const about = selector ? document.querySelector(selector) : null;
    about?.classList.add("qc-told");
  },
  end() {
    this.mark("");
    delete document.documentElement.dataset.touring;
    const focused = this.card().contains(document.activeElement);
    this.card().hidden = true;
    if (focused) document.querySelector(".qc-tour-start").focus();
  },
  act(what) {
    if (what === "end") return this.end();
    this.show(what === "start" ? 0 : this.at + (what === "next" ? 1 : -1));
    const next = this.card().querySelector("[data-tour=next]");
    (next.hidden ? this.card().querySelector("[data-tour=end]") : next).focus();
  },
};
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-tour]");
  if (button) window.qcompare.tour.act(button.dataset.tour);
});
document.addEventListener("keydown", (event) => {
  const card = event.target.closest?.(".qc-tour");
  const what = { Escape: "end", ArrowRight: "next", ArrowLeft: "back" }[event.key];
  if (what && (card || (what === "end" && !window.qcompare.tour.card()?.hidden))) window.qcompare.tour.act(what);
});
