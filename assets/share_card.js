// The answer as a picture of 1200 × 630. Drawn here, where there are fonts for every language.
window.qcompare.shareCard = async (given) => {
  if (!given) return;
  const card = JSON.parse(given);
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [1200, 630];
  const pen = canvas.getContext("2d");
  const LEFT = 72, WIDTH = 1200 - 2 * LEFT;
  const font = (size, weight = 400) => `${weight} ${size}px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif`;
  // Pieces that may stand at the end of a line: words with their space; Chinese breaks between characters.
  const pieces = (text) => text.match(/[\u3000-\u9fff\uff00-\uffef][，。；：、！？）]*|[^\s\u3000-\u9fff\uff00-\uffef]+\s*|\s+/g) ?? [];
  const lines = (text, width) => {
    const found = [""];
    for (const piece of pieces(text)) {
      const longer = found[found.length - 1] + piece;
      if (found[found.length - 1] && pen.measureText(longer.trimEnd()).width > width) found.push(piece);
      else found[found.length - 1] = longer;
    }
    return found.map((line) => line.trimEnd());
  };
  // The largest size at which a text takes at most so many lines; gives the height it took.
  const write = (text, x, y, { sizes, width, most, weight = 400, colour = "#222831" }) => {
    let drawn = [], size = sizes[0];
    for (size of sizes) {
      pen.font = font(size, weight);
      drawn = lines(text, width);
      if (drawn.length <= most && drawn.every((line) => pen.measureText(line).width <= width)) break;
    }
    if (drawn.length > most) drawn = [...drawn.slice(0, most - 1), `${drawn[most - 1]} …`];
    pen.fillStyle = colour;
    drawn.forEach((line, n) => pen.fillText(line, x, y + size * (1 + 1.22 * n), width));
    return size * 1.22 * drawn.length;
  };
  pen.fillStyle = "#ffffff";
  pen.fillRect(0, 0, 1200, 630);
  pen.fillStyle = "#2b57c4";
  pen.fillRect(0, 0, 16, 630);
  write(card.model, LEFT, 48, { sizes: [28, 24, 20], width: WIDTH, most: 1, colour: "#5b6370" });
  const below = 104 + write(card.claim, LEFT, 104, { sizes: [52, 46, 40, 36, 32], width: WIDTH, most: 3, weight: 700 });
  const row = Math.max(below + 20, 290), wide = WIDTH / Math.max(card.facts.length, 1) - 24;
  card.facts.forEach((fact, n) => {
    const x = LEFT + n * (wide + 24);
    write(fact.value, x, row, { sizes: [72, 60, 48], width: wide, most: 1, weight: 700, colour: "#2b57c4" });
    write(fact.label, x, row + 92, { sizes: [26, 24, 22, 20, 18], width: wide, most: 1, colour: "#5b6370" });
  });
  write(card.certainty, LEFT, row + 144, { sizes: [24, 22, 20], width: WIDTH, most: 2 });
  write(card.product, LEFT, 566, { sizes: [28], width: WIDTH, most: 1, weight: 700 });
  const picture = await new Promise((done) => canvas.toBlob(done, "image/png"));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(picture);
  link.download = card.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
};
