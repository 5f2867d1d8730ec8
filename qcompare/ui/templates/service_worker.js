// Nothing is kept or changed: a page that cannot be opened, since no server answers, is replaced by one that waits for it.
const page = UNREACHABLE_PAGE;
self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  if (event.request.mode !== "navigate" || event.request.method !== "GET") return;
  const shown = () => new Response(page, { status: 503, headers: { "Content-Type": "text/html; charset=utf-8" } });
  event.respondWith(fetch(event.request).catch(shown));
});
