// Asks once a second what has changed for the study on screen: live panels are drawn here, and gradio is told to bring
// the others up to date.
window.qcompare.updates = {
  study: null, // unknown until the page's address has been read
  job: "",
  stamp: "", // of the panels that gradio draws
  live: {}, // name of a panel → how it is drawn, and the version that is shown
  tell: null,
  tellLater: null,
  timer: null,
  request: null,
  draws(name, draw) {
    this.live[name] = { draw, version: "" };
  },
  tells(tell, tellLater) {
    Object.assign(this, { tell, tellLater });
    this.ask();
  },
  // At once, for another study or job where one is given.
  look(chosen = {}) {
    Object.assign(this, chosen);
    this.request?.abort();
    this.request = null;
    return this.ask();
  },
  async ask() {
    if (this.study === null || !this.tell || this.request || document.hidden) return;
    const request = (this.request = new AbortController());
    const asked = { study: this.study, job: this.job };
    for (const [name, { version }] of Object.entries(this.live)) asked[name] = version;
    const language = new URL(window.location.href).searchParams.get("lang");
    if (language) asked.lang = language;
    try {
      const address = new URL(`updates?${new URLSearchParams(asked)}`, document.baseURI);
      const answer = await fetch(address, { signal: request.signal });
      if (answer.ok) this.take(await answer.json());
    } catch {
      // another study was chosen meanwhile, or the app is away: the next look tries again
    } finally {
      if (this.request === request) this.request = null;
    }
  },
  take({ stamp, live }) {
    for (const [name, { version, html }] of Object.entries(live)) {
      this.live[name].draw(html);
      this.live[name].version = version;
    }
    if (!stamp || stamp === this.stamp) return;
    this.stamp = stamp;
    this.tell();
    clearTimeout(this.timer); // hidden tabs come 2.5 s later: what is seen has the processor to itself first
    this.timer = setTimeout(this.tellLater, 2500);
  },
};
setInterval(() => window.qcompare.updates.ask(), 1000);
document.addEventListener("visibilitychange", () => window.qcompare.updates.ask());
