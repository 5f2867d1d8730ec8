// Says at once that a press was taken: the button is dead and names what is under way, until the page shows the outcome.
// Lists are drawn anew while jobs run, so the words are put back into the new button.
window.qcompare.busy = {
  pending: {}, // act and name of a button → its words
  timeouts: {},
  key: (button) => `${button.dataset.act} ${button.dataset.name}`,
  watch(element) {
    new MutationObserver(() => this.apply(element)).observe(element, { subtree: true, childList: true });
  },
  begin(element, pressed) {
    const button = [...element.querySelectorAll("[data-act]")].find((each) => this.key(each) === `${pressed.act} ${pressed.name}`);
    if (!button?.dataset.busy) return;
    const key = this.key(button);
    this.pending[key] = button.dataset.busy;
    clearTimeout(this.timeouts[key]);
    this.timeouts[key] = setTimeout(() => this.end(key), 30000);
    this.apply(element);
  },
  apply(element) {
    if (!Object.keys(this.pending).length) return;
    for (const button of element.querySelectorAll("[data-act]")) {
      const words = this.pending[this.key(button)];
      if (!words || button.disabled) continue;
      button.dataset.words = button.textContent;
      button.textContent = words;
      button.disabled = true;
      button.setAttribute("aria-label", words);
    }
  },
  // The act is done: the list that is drawn next says so. Where it stays as it is, the button lives again.
  done() {
    for (const key of Object.keys(this.pending)) {
      clearTimeout(this.timeouts[key]);
      this.timeouts[key] = setTimeout(() => this.end(key), 1500);
    }
  },
  end(key) {
    delete this.pending[key];
    for (const button of document.querySelectorAll("[data-act]:disabled[data-words]")) {
      if (this.key(button) !== key) continue;
      button.textContent = button.dataset.words;
      button.disabled = false;
    }
  },
};
// Files that are made on the server: the pressed button shows that one is under way until it is handed over.
document.addEventListener("click", (event) => {
  const button = event.target.closest("#qc-take-away button");
  if (!button || button.id === "qc-present-start") return;
  button.setAttribute("aria-busy", "true");
  setTimeout(() => button.removeAttribute("aria-busy"), 30000);
});
window.qcompare.handedOver = () => document.querySelectorAll('#qc-take-away [aria-busy="true"]').forEach((button) => button.removeAttribute("aria-busy"));
