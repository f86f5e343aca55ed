// Numbers, times and steps as people read them.

export function plural(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

export function clockFormat(zone, options) {
  const base = { hour12: false, hour: "2-digit", minute: "2-digit", second: "2-digit", ...options };
  try {
    return new Intl.DateTimeFormat("en-GB", { ...base, timeZone: zone || undefined });
  } catch {
    return new Intl.DateTimeFormat("en-GB", { ...base, timeZone: "UTC" });
  }
}

export function zoneName(zone, date) {
  const parts = clockFormat(zone, { timeZoneName: "shortOffset" }).formatToParts(date);
  return (parts.find((part) => part.type === "timeZoneName")?.value ?? "").replace("GMT", "UTC").replace(/^UTC\+0$/, "UTC");
}

export function niceStep(rough, clock) {
  const long = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400];
  if (rough >= 1) {
    const found = (clock ? long : [1, 2, 3, 5, 6, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600]).find((s) => s >= rough);
    if (found) return found;
  }
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 5, 10].find((n) => n * power >= rough * 0.999);
}
