// Slides: one at a time, by arrow keys or a press. The page around it keeps the number in its address (`present.js`).
window.qcompareSlides = () => {
  const TEXT = 24 / 13; // a figure's text is 13 pixels: drawn smaller and enlarged, all of it grows alike
  const larger = () => Math.max(1, window.innerWidth / 1440); // text of 24 pixels at 1440, in proportion above
  const pages = [...document.querySelectorAll(".qc-slide")];
  let now = 0, figures = null;
  const tell = (present) => window.parent.postMessage({ present }, window.location.origin);

  function draw(box) {
    if (!figures || !box || !box.clientHeight) return;
    const { data, layout } = structuredClone(figures[Number(box.dataset.figure)]);
    const [width, height] = [box.clientWidth, box.clientHeight];
    const zoom = Math.min(TEXT * larger(), height / Math.min(layout.height, height));
    const plot = document.createElement("div");
    plot.style.zoom = zoom;
    box.replaceChildren(plot);
    window.Plotly.newPlot(plot, data, { ...layout, width: width / zoom, height: height / zoom }, { staticPlot: true });
  }
  // What does not fit the screen is made smaller as a whole.
  function fit(page) {
    const inner = page.querySelector(".qc-fit");
    if (!inner) return draw(page.querySelector(".qc-slide-plot"));
    const style = getComputedStyle(page);
    const space = page.clientHeight - parseFloat(style.paddingTop) - parseFloat(style.paddingBottom);
    for (let zoom = larger(); zoom > 0.3; zoom *= 0.95) {
      inner.style.zoom = zoom;
      if (inner.getBoundingClientRect().height <= space && inner.scrollWidth <= inner.clientWidth + 1) return;
    }
  }
  function show(number) {
    now = Math.max(0, Math.min(pages.length - 1, number));
    pages.forEach((page, n) => page.classList.toggle("qc-now", n === now));
    document.getElementById("qc-place").textContent = `${now + 1} / ${pages.length}`;
    fit(pages[now]);
    window.history.replaceState(null, "", `#${now + 1}`);
    tell(now + 1);
  }
  const keys = {
    ArrowRight: 1, ArrowDown: 1, PageDown: 1, " ": 1, Enter: 1, ArrowLeft: -1, ArrowUp: -1, PageUp: -1, Backspace: -1,
    Home: -Infinity, End: Infinity,
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") return tell(0);
    if (!(event.key in keys)) return;
    event.preventDefault();
    show(now + keys[event.key]);
  });
  document.addEventListener("click", (event) => show(now + (event.clientX < window.innerWidth / 3 ? -1 : 1)));
  window.addEventListener("resize", () => fit(pages[now]));
  show(Number(window.location.hash.slice(1) || 1) - 1);

  (async () => {
    const text = (id) => document.getElementById(id).textContent;
    if (!window.DecompressionStream) {
      document.querySelectorAll(".qc-slide-plot").forEach((box) => (box.textContent = box.dataset.old));
      return;
    }
    await window.qcomparePlots.start(text("qc-plotly"));
    figures = JSON.parse(await window.qcomparePlots.unpacked(text("qc-figures")));
    fit(pages[now]);
  })();
};
