// Draws figures with Plotly as wide as their boxes, once these are seen. A page brings Plotly's script by its address
// (the app), or carries it in itself, compressed (reports, slides, sites).
window.qcomparePlots = {
  plotly: null, // promised, once it is asked for
  figures: new WeakMap(), // by box: data and layout
  changed: new Set(), // boxes of another width than before
  fitting: false,
  load(address) {
    this.plotly ??= new Promise((loaded, failed) => {
      const script = document.createElement("script");
      Object.assign(script, { src: address, onload: loaded, onerror: failed });
      document.head.append(script);
    }).then(() => this.fit(), () => (this.plotly = null)); // the next figures ask again
  },
  async start(coded) {
    const script = document.createElement("script");
    script.textContent = await this.unpacked(coded);
    document.head.append(script);
    this.fit();
  },
  async unpacked(coded) {
    const bytes = Uint8Array.from(atob(coded), (letter) => letter.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  },
  draw(root, figures) {
    root.querySelectorAll(".qc-plot:not([data-taken])").forEach((given) => {
      const box = given.cloneNode(); // gradio uses elements again, with what Plotly keeps in them
      given.replaceWith(box);
      box.dataset.taken = "";
      this.figures.set(box, figures[Number(box.dataset.figure)]);
      this.sizes.observe(box);
    });
  },
  // Figures that bring their data with them (`figures.html`).
  show(root) {
    const data = root.querySelector(".qc-plot:not([data-taken])") && root.querySelector(".qc-plot-data");
    if (data) this.draw(root, JSON.parse(data.textContent));
  },
  // A part of the app's page, which gets other figures when a recipe finishes. Plotly is loaded as soon as the page
  // has nothing else to do.
  watch(element, address) {
    const show = () => {
      this.show(element);
      if (element.querySelector(".qc-plot")) this.load(address);
    };
    new MutationObserver(show).observe(element, { subtree: true, childList: true });
    show();
    (window.requestIdleCallback ?? setTimeout)(() => this.load(address));
  },
  // A page that carries all of it in itself.
  async open() {
    if (!window.DecompressionStream) {
      document.querySelectorAll(".qc-plot").forEach((box) => (box.textContent = box.dataset.old));
      return;
    }
    const text = (id) => document.getElementById(id).textContent;
    this.draw(document, JSON.parse(await this.unpacked(text("qc-figures"))));
    await this.start(text("qc-plotly"));
  },
  // One at a time: between them the page answers. Plotly's promise is not waited for: it never ends where a box has gone.
  async fit() {
    if (this.fitting || !window.Plotly) return;
    this.fitting = true;
    for (const box of this.changed) {
      this.changed.delete(box);
      if (!box.isConnected) this.sizes.unobserve(box);
      const width = box.clientWidth; // 0: hidden, or gone
      if (!width || width === box.layout?.width) continue;
      (async () => window.Plotly.react(box, this.figures.get(box).data, this.layout(box, width), { displaylogo: false }))();
      await new Promise((go) => setTimeout(go));
    }
    this.fitting = false;
  },
  // Where there is no room for names beside the points, a legend below has them.
  layout(box, width) {
    const { data, layout } = this.figures.get(box);
    const notes = structuredClone(layout.annotations ?? []); // Plotly writes into what it is given
    if (width >= 480 || !notes.some(({ name }) => name === "point")) return { ...layout, annotations: notes, width };
    return {
      ...layout,
      width,
      annotations: notes.filter(({ name }) => name !== "point" && name !== "budget"),
      margin: { ...layout.margin, r: 16 },
      showlegend: true,
      legend: { orientation: "h", y: -0.2, yanchor: "top", itemsizing: "constant" },
      height: layout.height + 24 * Math.ceil(data.length / 2),
    };
  },
};
window.qcomparePlots.sizes = new ResizeObserver((entries) => {
  entries.forEach(({ target }) => window.qcomparePlots.changed.add(target));
  clearTimeout(window.qcomparePlots.timer);
  window.qcomparePlots.timer = setTimeout(() => window.qcomparePlots.fit(), 50);
});
// On paper a figure is as wide as the page, whatever the window was.
(() => {
  const PAPER = 640; // CSS pixels that an A4 page has beside margins and frames
  const plots = () => document.querySelectorAll(".qc-plot.js-plotly-plot");
  const fit = (width) => plots().forEach((box) => window.Plotly.relayout(box, { width: width ?? box.clientWidth }));
  window.addEventListener("beforeprint", () => fit(PAPER));
  window.addEventListener("afterprint", () => fit());
})();
