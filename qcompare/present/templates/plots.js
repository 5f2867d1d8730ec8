// Draws the figures of a page that opens without a server: what they show and Plotly itself are carried compressed.
window.qcomparePlots = {
  async unpacked(coded) {
    const bytes = Uint8Array.from(atob(coded), (letter) => letter.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  },
  async start(coded) {
    const script = document.createElement("script");
    script.textContent = await this.unpacked(coded);
    document.head.append(script);
  },
  draw(figures) {
    document.querySelectorAll(".qc-plot:not(.js-plotly-plot)").forEach((box) => {
      const { data, layout } = figures[Number(box.dataset.figure)];
      box.replaceChildren();
      window.Plotly.newPlot(box, data, layout, { displaylogo: false, responsive: true });
    });
  },
  // A page that carries all of it in itself.
  async open() {
    if (!window.DecompressionStream) {
      document.querySelectorAll(".qc-plot").forEach((box) => (box.textContent = box.dataset.old));
      return;
    }
    const text = (id) => document.getElementById(id).textContent;
    await this.start(text("qc-plotly"));
    this.draw(JSON.parse(await this.unpacked(text("qc-figures"))));
  },
};
// On paper a figure is as wide as the page, whatever the window was.
(() => {
  const PAPER = 640; // CSS pixels that an A4 page has beside margins and frames
  const plots = () => document.querySelectorAll(".qc-plot.js-plotly-plot");
  window.addEventListener("beforeprint", () => plots().forEach((box) => window.Plotly.relayout(box, { width: PAPER })));
  window.addEventListener("afterprint", () => plots().forEach((box) => window.Plotly.relayout(box, { width: null, autosize: true })));
})();
