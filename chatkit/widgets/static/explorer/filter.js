// Which events a line of words lets through.

// "type", "/regex/", "only control": what a filter lets through. Null lets all through.
export function filterOf(text) {
  const wanted = text.trim();
  if (!wanted) return null;
  if (wanted.toLowerCase() === "only control") return { control: true, test: () => true };
  const pattern = /^\/(.+)\/?$/.test(wanted) && wanted.length > 2 ? wanted.replace(/^\//, "").replace(/\/$/, "") : null;
  if (pattern !== null) {
    const regex = new RegExp(pattern, "i");
    return { control: false, test: (words) => regex.test(words) };
  }
  const low = wanted.toLowerCase();
  return { control: false, test: (words) => words.toLowerCase().includes(low) };
}
