// Explanations of terms, on screen and in the report alike: one box for all, shown on hover, on focus and on tap.
(() => {
  let tip = null;
  let shown = null;
  const hide = () => {
    shown?.removeAttribute("aria-describedby");
    shown = null;
    if (tip) tip.hidden = true;
  };
  const show = (term) => {
    if (term === shown) return;
    hide();
    shown = term;
    if (!tip?.isConnected) {
      tip = document.createElement("div");
      tip.id = "qc-tip";
      tip.setAttribute("role", "tooltip");
      (document.querySelector(".gradio-container") ?? document.body).append(tip);
    }
    tip.textContent = term.dataset.term;
    tip.hidden = false;
    term.setAttribute("aria-describedby", tip.id);
    place(term);
  };
  const place = (term) => {
    const at = term.getBoundingClientRect();
    const below = at.bottom + 8 + tip.offsetHeight < window.innerHeight;
    tip.style.left = `${Math.max(8, Math.min(at.left, window.innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${Math.max(8, below ? at.bottom + 8 : at.top - 8 - tip.offsetHeight)}px`;
  };
  const near = (event) => event.target.closest?.("[data-term]");
  document.addEventListener("pointerover", (event) => (near(event) ? show(near(event)) : event.target.closest?.("#qc-tip") || hide()));
  document.addEventListener("focusin", (event) => (near(event) ? show(near(event)) : hide()));
  document.addEventListener("focusout", hide);
  document.addEventListener("click", (event) => near(event) && show(near(event)));
  document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
  // Scrolling moves terms under a pointer that rests, and focus brings a term into view, which scrolls.
  let pointer = null;
  document.addEventListener("pointermove", (event) => (pointer = [event.clientX, event.clientY]), { passive: true });
  const follow = () => {
    if (!shown) return;
    const under = pointer && document.elementFromPoint(...pointer)?.closest("[data-term]");
    if (shown === under || shown === document.activeElement) place(shown);
    else hide();
  };
  document.addEventListener("scroll", follow, { capture: true, passive: true });
})();
