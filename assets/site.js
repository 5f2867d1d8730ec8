// A published site: shows what `data/STUDY.LANGUAGE.js` brings. The address says study, tab and language.
window.qcompareSite = (() => {
  const site = JSON.parse(document.getElementById("qc-site").textContent);
  const at = (id) => document.getElementById(id);
  const asked = () => new URL(window.location.href).searchParams;
  const known = (value, among, otherwise) => (among.includes(value) ? value : otherwise);
  const languages = Object.keys(site.languages), ids = site.studies.map(([id]) => id), tabs = Object.keys(site.texts[site.fallback].tabs);
  const preferred = () => {
    const wanted = [asked().get("lang"), ...navigator.languages].map((name) => (name ?? "").split("-")[0].toLowerCase());
    return wanted.find((name) => languages.includes(name)) ?? site.fallback;
  };
  const state = { study: known(asked().get("study"), ids, ids[0]), tab: known(asked().get("tab"), tabs, tabs[0]), lang: preferred() };
  let plotly = null;

  function load(address) {
    const script = document.createElement("script");
    script.src = address;
    document.head.append(script);
  }
  function go(changes) {
    const before = `${state.study}.${state.lang}`;
    Object.assign(state, changes);
    const address = new URL(window.location.href);
    for (const [key, value] of Object.entries(state)) address.searchParams.set(key, value);
    try {
      window.history.replaceState(null, "", address);
    } catch {
      // a browser that does not let files change their address
    }
    if (`${state.study}.${state.lang}` !== before) load(`data/${state.study}.${state.lang}.js`);
    frame();
  }
  function choices(box, entries, key) {
    box.replaceChildren(...entries.map(([value, title]) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = title;
      if (state[key] === value) button.setAttribute("aria-current", "page");
      button.addEventListener("click", () => go({ [key]: value }));
      return button;
    }));
  }
  function frame() {
    const texts = site.texts[state.lang];
    document.documentElement.lang = texts.lang;
    choices(at("qc-site-tabs"), Object.entries(texts.tabs), "tab");
    choices(at("qc-site-languages"), Object.entries(site.languages), "lang");
    const select = at("qc-site-study");
    select.hidden = site.studies.length < 2;
    select.setAttribute("aria-label", texts.study);
    select.replaceChildren(...site.studies.map(([id, title]) => new Option(title, id, false, id === state.study)));
    for (const tab of tabs) at(`qc-${tab}`).hidden = tab !== state.tab;
  }
  at("qc-site-study").addEventListener("change", (event) => go({ study: event.target.value }));
  document.documentElement.classList.remove("qc-opening");
  frame();
  load(`data/${state.study}.${state.lang}.js`);

  return {
    async add(coded) {
      const pages = JSON.parse(await window.qcomparePlots.unpacked(coded));
      if (pages.id !== state.study || pages.lang !== state.lang) return; // another was chosen meanwhile
      for (const tab of tabs) at(`qc-${tab}`).innerHTML = pages[tab]; // escaped where it was written
      frame();
      window.qcomparePlots.show(at("qc-results"));
      if (!plotly) load((plotly = "plotly.js"));
    },
    plotly: (coded) => window.qcomparePlots.start(coded),
  };
})();
