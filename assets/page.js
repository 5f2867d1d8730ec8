// Keeps the address in step with the screen, so that a link or a reload opens the same study on the same tab, with the
// same questions; Back and Forward walk through what was looked at.
window.qcompare = {
  // Tabs report a selection while the page is being built; until the address has been read, it must stay.
  opened: false,
  early: {},
  open(study, newcomer) {
    this.opened = true;
    this.path.begin(newcomer);
    document.documentElement.classList.remove("qc-opening");
    const named = new URL(window.location.href).searchParams;
    if (this.early.tab && !named.has("tab")) this.note("tab", this.early.tab, "replaceState");
    this.note("study", study, "replaceState");
    this.showCell();
    this.present?.follow();
  },
  note(key, value, how = "pushState") {
    if (!this.opened) {
      this.early[key] = value;
      return;
    }
    if (key === "study" && value) this.study = value;
    const address = new URL(window.location.href);
    if (!value || address.searchParams.get(key) === value) return;
    const other = key === "study" && address.searchParams.has(key);
    address.searchParams.set(key, value);
    if (other || key === "cell") address.searchParams.delete("question");
    if (other) address.searchParams.delete("cell");
    window.history[how](null, "", address);
    if (["study", "cell", "question"].includes(key)) this.showCell();
  },
  select(name) {
    const tab = document.querySelector(`#qc-tabs [data-tab-id="${CSS.escape(name)}"]`);
    if (tab?.getAttribute("aria-selected") === "false") tab.click();
  },
  // After Back and Forward: the screen as the address says.
  study: "",
  follow() {
    const asked = new URL(window.location.href).searchParams;
    this.select(asked.get("tab") ?? "new");
    if (asked.get("study") && asked.get("study") !== this.study) this.goTo?.({ study: asked.get("study") });
    this.showCell();
  },
  // The questions behind a score, or one of them: `cell=JOB/TASK`, `question=SUBJECT/NUMBER`.
  cell: "",
  showCell() {
    const asked = new URL(window.location.href).searchParams;
    const [cell, question] = [asked.get("cell") ?? "", asked.get("question") ?? ""];
    document.documentElement.classList.toggle("qc-cell-open", Boolean(cell));
    if (!this.opened || !this.pickCell || this.cell === `${cell}?${question}`) return;
    this.cell = `${cell}?${question}`;
    const [job, ...task] = cell.split("/");
    if (cell) this.pickCell({ job, task: task.join("/"), question });
  },
  // What this browser keeps of a visitor's choices; nothing where it may not keep any.
  remembered(key) {
    try {
      return window.localStorage.getItem(`qcompare.${key}`);
    } catch {
      return null;
    }
  },
  remember(key, value) {
    try {
      window.localStorage.setItem(`qcompare.${key}`, value);
    } catch {
      // then it is asked again next time
    }
  },
  // Hands a file to the browser's downloads: JSON of name, media type and content in base 64.
  async save(file) {
    if (!file) return;
    const { name, type, content } = JSON.parse(file);
    const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([bytes], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  },
  async copy(text) {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    const field = document.body.appendChild(document.createElement("textarea")); // plain http has no clipboard
    field.value = text;
    field.select();
    document.execCommand("copy");
    field.remove();
  },
  // Tells which of the matching elements was pressed. Not by click alone: what is pressed may be drawn anew, with new
  // numbers, between pressing and releasing, and a browser then reports no click.
  presses(element, selector, tell) {
    const at = (x, y) => document.elementFromPoint(x, y)?.closest(selector);
    const key = (found) => found && JSON.stringify({ ...found.dataset });
    let down = null;
    element.addEventListener("pointerdown", (event) => (down = key(at(event.clientX, event.clientY))));
    element.addEventListener("pointerup", (event) => {
      const found = at(event.clientX, event.clientY);
      if (found && element.contains(found) && key(found) === down) tell(found.dataset);
      down = null;
    });
    element.addEventListener("click", (event) => {
      const found = event.detail === 0 && event.target.closest(selector); // by keyboard
      if (found) tell(found.dataset);
    });
  },
};
window.addEventListener("popstate", () => window.qcompare.follow());
document.addEventListener("click", (event) => {
  const button = event.target.closest(".qc-one, .qc-all");
  if (!button) return;
  if (button.matches(".qc-one")) return window.qcompare.note("question", button.dataset.question);
  const address = new URL(window.location.href);
  address.searchParams.delete("question");
  window.history.pushState(null, "", address);
  window.qcompare.showCell();
});
// Another tab than the first is asked for: nothing is shown until it is selected.
if (!["new", null].includes(new URL(window.location.href).searchParams.get("tab"))) {
  document.documentElement.classList.add("qc-opening");
  setTimeout(() => document.documentElement.classList.remove("qc-opening"), 6000);
}
// A language that the address names stays when a link of ours leads to another tab.
document.addEventListener("click", (event) => {
  const link = event.target.closest('a[href^="?"]');
  const asked = new URL(window.location.href).searchParams.get("lang");
  if (link && asked && !link.search.includes("lang=")) link.search += `&lang=${asked}`;
}, true);
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await window.qcompare.copy(button.dataset.copy);
  const words = button.textContent;
  button.textContent = button.dataset.copied;
  setTimeout(() => (button.textContent = words), 2000);
});
document.addEventListener("click", (event) => {
  if (!event.target.closest(".qc-theme:not(.qc-tour-start)")) return;
  const dark = document.body.classList.toggle("dark");
  window.qcompare.note("__theme", dark ? "dark" : "light", "replaceState");
});
// Arrow keys move between the choices of a group, and choose: Gradio draws each one anew, so a browser does not.
document.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
  if (!step || !event.target.matches?.('.gradio-container input[type="radio"]')) return;
  const group = [...(event.target.closest("fieldset, .wrap, [role='radiogroup']") ?? document.body).querySelectorAll('input[type="radio"]:not(:disabled)')];
  const next = group[(group.indexOf(event.target) + step + group.length) % group.length];
  event.preventDefault();
  next.focus();
  next.click();
});
