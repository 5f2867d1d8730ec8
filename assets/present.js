// Presenter mode: the slides of the open study over the whole page, under an address of their own (`present=3`).
window.qcompare.present = (() => {
  let frame = null, pushed = false;
  const address = () => new URL(window.location.href);

  function show(number) {
    if (frame) return;
    const slides = new URL("slides", document.baseURI), asked = address().searchParams;
    for (const key of ["study", "lang"]) if (asked.get(key)) slides.searchParams.set(key, asked.get(key));
    slides.searchParams.set("theme", document.body.classList.contains("dark") ? "dark" : "light");
    slides.hash = number;
    frame = document.createElement("iframe");
    frame.id = "qc-present";
    frame.title = document.querySelector("#qc-present-start")?.textContent ?? "";
    frame.addEventListener("load", () => frame?.contentWindow.focus());
    frame.src = slides;
    document.querySelector(".gradio-container").inert = true;
    document.body.append(frame);
  }
  function hide() {
    frame?.remove();
    frame = null;
    document.querySelector(".gradio-container").inert = false;
  }
  function leave() {
    if (pushed) return window.history.back();
    const without = address();
    without.searchParams.delete("present");
    window.history.replaceState(null, "", without);
    hide();
  }
  // As the address says: on load, and after Back and Forward.
  function follow() {
    const number = Number(address().searchParams.get("present"));
    if (!number) pushed = false;
    number > 0 ? show(number) : hide();
  }
  function start() {
    if (frame || !address().searchParams.get("study")) return;
    const to = address();
    to.searchParams.set("present", 1);
    window.history.pushState(null, "", to);
    pushed = true;
    show(1);
  }
  window.addEventListener("popstate", follow);
  window.addEventListener("message", (event) => {
    if (!frame || event.source !== frame.contentWindow || event.origin !== window.location.origin) return;
    if (event.data.present === 0) return leave();
    const to = address();
    to.searchParams.set("present", Number(event.data.present));
    window.history.replaceState(null, "", to);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && frame) return leave();
    if (event.key.toLowerCase() !== "p" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest?.("input:not([type=radio], [type=checkbox]), textarea, select, [contenteditable]")) return;
    if (document.querySelector("#qc-present-start")?.offsetParent) start(); // only where Results is seen
  });
  return { start, follow };
})();
