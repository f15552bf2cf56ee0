// What pages are made of.

export const select = (selector) => document.querySelector(selector);

export const say = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

// Children that are texts are shown as they are, whatever is in them.
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// Says how long ago something was, by two times in milliseconds.
export function ago(then, now, texts) {
  const seconds = (now - then) / 1000;
  if (seconds < 45) return texts.just_now;
  const ages = new Intl.RelativeTimeFormat(texts.language, { style: "short" });
  if (seconds < 3600) return ages.format(-Math.round(seconds / 60), "minute");
  if (seconds < 86_400) return ages.format(-Math.round(seconds / 3600), "hour");
  return ages.format(-Math.round(seconds / 86_400), "day");
}

// Keeps what is said below a header, and what is scrolled to, clear of it; its height varies.
export function stickBelow(header) {
  const style = document.documentElement.style;
  new ResizeObserver(() => style.setProperty("--header", `${header.offsetHeight}px`)).observe(header);
}
