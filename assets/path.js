// Two ways through New: one card at a time for newcomers, or all on one page. The same cards; the page's root element
// says which are shown, and the style sheet does the rest.
window.qcompare.path = {
  root: document.documentElement,
  // The address wins, then what was chosen in this browser; a newcomer begins step by step.
  begin(newcomer) {
    const asked = new URL(window.location.href).searchParams.get("path") ?? window.qcompare.remembered("path");
    this.show(asked ?? (newcomer ? "guided" : "page"));
  },
  show(path, step = 1) {
    this.root.dataset.path = path === "guided" ? "guided" : "page";
    this.root.dataset.step = step;
    document.querySelectorAll("[data-choose-path]").forEach((button) =>
      button.setAttribute("aria-pressed", String(button.dataset.choosePath === this.root.dataset.path)),
    );
    document.querySelectorAll("[data-step-to]").forEach((button) =>
      button.toggleAttribute("aria-current", Number(button.dataset.stepTo) === step),
    );
  },
  choose(path) {
    this.show(path);
    window.qcompare.remember("path", path);
    window.qcompare.note("path", path);
  },
  go(step) {
    this.show("guided", Math.min(3, Math.max(1, step)));
    document.querySelector("#qc-path").scrollIntoView({ block: "nearest" });
    document.querySelector(`[data-step-to="${this.root.dataset.step}"]`).focus({ preventScroll: true });
  },
};
document.addEventListener("click", (event) => {
  const path = window.qcompare.path;
  const on = (name) => event.target.closest(`[data-${name}]`);
  if (on("choose-path")) path.choose(on("choose-path").dataset.choosePath);
  else if (on("step-to")) path.go(Number(on("step-to").dataset.stepTo));
  else if (on("step-by")) path.go(Number(path.root.dataset.step) + Number(on("step-by").dataset.stepBy));
});

// A study file that is dropped anywhere on New goes the way of a chosen one.
window.qcompare.dropped = (event) => {
  const input = document.querySelector("#qc-file input[type=file]");
  const files = event.dataTransfer?.types.includes("Files");
  return files && input?.closest("[role=tabpanel]")?.contains(event.target) ? input : null;
};
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    const input = window.qcompare.dropped(event);
    document.documentElement.classList.toggle("qc-dropping", kind === "dragover" && Boolean(input));
    if (!input) return;
    event.preventDefault();
    if (kind !== "drop") return;
    const first = new DataTransfer();
    first.items.add(event.dataTransfer.files[0]);
    input.files = first.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  });
}
